"""Dead letters: trying again, as it was, edited or in groups, and letting go. Sent once, always."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec import structs

from actors import Actor, InvalidMessage, InvalidPayload, Message, NonRetryable, TooLarge, handler
from actors.deadletters import DeadLetter, LetterFilter, LetterState
from actors.errors import LetterGone, LetterResolved
from actors.redrive import Fate, Redrive, retry_id
from storage import PreconditionFailed, Unavailable
from tests.actors.world import World
from tracing import TraceReader, TraceStatus
from tracing.sampling import Sampler

WORKING = {"till": True}


class TillClosed(NonRetryable):
    pass


@dataclass(frozen=True)
class Sale:
    cents: int
    note: str = ""


class Till(Actor):
    @handler
    async def sell(self, sale: Sale) -> None:
        if not WORKING["till"]:
            raise TillClosed("come back later")
        self.update_state(
            sold=[*self.state.get("sold", []), sale.cents], sender=self.sender, note=sale.note
        )

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        self.send("Till/asked", "sell", payload)


@pytest.fixture(autouse=True)
def closed() -> None:
    WORKING["till"] = False


class Desk(World):
    """A world with dead letters in it, and who resolves them."""

    def __init__(self, **options: bool) -> None:
        super().__init__(**options)
        self.redrive = self.new_redrive()

    def new_redrive(self) -> Redrive:
        """Return one as another process would have."""
        return Redrive(self.new_runtime(), self.letters, (Till,))

    async def give_up(self, *cents: int, actor: str = "Till/1") -> list[DeadLetter]:
        """Send sales while the till is closed; return their dead letters, then open the till."""
        WORKING["till"] = False
        sent = [await self.send(actor, "sell", {"cents": amount}) for amount in cents]
        async with self.serve(Till):
            await self.settled()
        WORKING["till"] = True
        found = [await self.letters.get(actor, message.message_id) for message in sent]
        return [letter for letter in found if letter is not None]

    async def letter(self, of: DeadLetter) -> DeadLetter:
        found = await self.letters.get(of.actor_id, of.message_id)
        assert found is not None
        return found

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.serve(Till):
            yield
            await self.settled()

    async def sold(self, actor: str = "Till/1") -> list[int]:
        return list((await self.state(actor)).get("sold", []))


async def test_a_retry_is_a_new_message_that_names_the_old_one() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    async with desk.open():
        sent = await desk.redrive.retry("Till/1", letter.message_id, by="ada", reason="reopened")
    assert await desk.sold() == [500]
    assert sent == await desk.letter(letter)
    assert sent.state is LetterState.RETRIED
    assert sent.resolution is not None
    assert (sent.resolution.by, sent.resolution.reason, sent.resolution.edited) == (
        *("ada", "reopened"),
        False,
    )
    new = await desk.redrive.message(replace(letter, message_id=retry_id(letter.message_id)))
    assert new is not None
    assert sent.resolution.message_id == new.message_id != letter.message_id
    assert new.metadata.retry_of == letter.message_id
    assert (new.correlation_id, new.payload) == (letter.correlation_id, {"cents": 500})
    assert new.trace is not None
    assert (sent.resolution.trace_id, sent.resolution.span_id) == (
        *(new.trace.trace_id, new.trace.span_id),
    )
    assert new.trace.trace_id != letter.trace_id
    assert await desk.redrive.fates([sent]) == {letter.message_id: Fate.HANDLED}


async def test_a_retry_is_traced_even_where_nothing_else_is_sampled() -> None:
    desk = Desk()
    assert desk.writer is not None
    (letter,) = await desk.give_up(500)
    desk.writer._sampler = Sampler(rate=0.0)
    async with desk.open():
        sent = await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    await desk.writer.flush()
    assert sent.resolution is not None
    assert sent.resolution.trace_id is not None
    trace = await TraceReader(desk.traces).get_trace(sent.resolution.trace_id)
    assert trace is not None
    assert trace.summary.status is TraceStatus.COMPLETED
    assert trace.events[0].type == "queue:enqueued"


@pytest.mark.parametrize("options", [{"traced": False}, {"archived": False}])
async def test_neither_tracing_nor_the_archive_is_needed(options: dict[str, bool]) -> None:
    desk = Desk(**options)
    (letter,) = await desk.give_up(500)
    async with desk.open():
        await desk.redrive.retry("Till/1", letter.message_id, by="ada", payload={"cents": 7})
    assert await desk.sold() == [7]


async def test_the_first_message_of_a_run_begins_the_run_anew() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    message = await desk.redrive.message(letter)
    assert message is not None
    desk.queue._dead[:] = [
        structs.replace(message, metadata=structs.replace(message.metadata, workflow="sale"))
    ]
    async with desk.open():
        sent = await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    events = [
        e for e in await desk.events() if sent.resolution and e.trace_id == sent.resolution.trace_id
    ]
    assert events[0].type == "workflow:started"
    assert "workflow:completed" in {event.type for event in events}


async def test_the_sender_stays_and_nobody_waits_for_an_answer() -> None:
    desk = Desk()
    await desk.send("Till/1", "ask", {"cents": 3})
    async with desk.serve(Till):
        await desk.settled()
    (letter,) = (await desk.letters.find(LetterFilter())).letters
    message = await desk.redrive.message(letter)
    assert message is not None
    desk.queue._dead[:] = [
        structs.replace(message, metadata=structs.replace(message.metadata, reply=True))
    ]
    WORKING["till"] = True
    async with desk.open():
        await desk.redrive.retry("Till/asked", letter.message_id, by="ada")
    assert (await desk.state("Till/asked"))["sender"] == "Till/1"
    assert await desk.inbox.waiting("Till/1") == []


async def test_a_retry_that_fails_is_a_dead_letter_of_its_own_that_can_be_retried() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    WORKING["till"] = False
    async with desk.open():
        first = await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    assert await desk.redrive.fates([first]) == {letter.message_id: Fate.FAILED}
    again = await desk.letters.get("Till/1", retry_id(letter.message_id))
    assert again is not None
    assert (again.retry_of, again.state) == (letter.message_id, LetterState.OPEN)
    assert again.correlation_id == letter.correlation_id
    WORKING["till"] = True
    second = await desk.redrive.retry("Till/1", again.message_id, by="bob")
    assert await desk.redrive.fates([second]) == {again.message_id: Fate.WAITING}
    async with desk.open():
        pass
    assert await desk.sold() == [500]


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        ({"cents": "many"}, InvalidPayload, r"Till.sell: Expected `int`, got `str`.*\$.cents"),
        ({}, InvalidPayload, "missing required field `cents`"),
        ({"cents": 1, "note": "x" * (1 << 20)}, TooLarge, "the payload is 1,048,"),
        ({"cents": object()}, InvalidMessage, "cannot be written as JSON"),
    ],
)
async def test_a_payload_that_the_handler_does_not_take_changes_nothing(
    payload: dict[str, Any], error: type[Exception], says: str
) -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    with pytest.raises(error, match=says):
        await desk.redrive.retry("Till/1", letter.message_id, by="ada", payload=payload)
    assert await desk.letter(letter) == letter
    assert (await desk.queue.depth()).ready == 0


async def test_a_message_that_no_handler_takes_any_more_is_not_sent_again() -> None:
    desk = Desk()
    sent = await desk.send("Till/1", "refund", {"cents": 1})
    async with desk.serve(Till):
        await desk.settled()
    with pytest.raises(NonRetryable, match="Till has no handler for 'refund'"):
        await desk.redrive.retry("Till/1", sent.message_id, by="ada")
    # A process that does not know the type leaves that to those that do.
    stranger = Redrive(desk.runtime, desk.letters)
    assert (await stranger.retry("Till/1", sent.message_id, by="ada")).state is LetterState.RETRIED


async def test_another_payload_is_sent_and_the_letter_keeps_no_copy_of_it() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    async with desk.open():
        sent = await desk.redrive.retry(
            *("Till/1", letter.message_id), by="ada", payload={"cents": 499, "note": "a canary"}
        )
    assert await desk.sold() == [499]
    assert sent.resolution is not None
    assert sent.resolution.edited
    stored = await desk.dead_letters.read(letter.message_id, "Till/1")
    assert "canary" not in str(stored.body)
    old = await desk.redrive.message(letter)
    assert old is not None
    assert old.payload == {"cents": 500}


class Killed(BaseException):
    """The process ends here."""


def dies(patch: pytest.MonkeyPatch, thing: object, name: str, *, after: bool) -> None:
    """Let the process end before or after it does this."""
    done = getattr(thing, name)

    async def step(*args: Any, **more: Any) -> Any:
        if after:
            await done(*args, **more)
        raise Killed

    patch.setattr(thing, name, step)


PLACES = [
    ("letters", "replace", True),
    ("runtime", "dispatch", False),
    ("archive", "store", True),
    ("queue", "enqueue", True),
]
"""Where somebody who retries may be killed once the decision is written down."""


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize(("thing", "name", "after"), PLACES)
async def test_whoever_is_killed_in_a_retry_has_sent_it_once_when_it_is_repeated(
    thing: str, name: str, after: bool, edited: bool
) -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    payload = {"cents": 499} if edited else None
    with pytest.MonkeyPatch.context() as patch:
        whose = desk.redrive._runtime if thing == "runtime" else getattr(desk, thing)
        dies(patch, whose, name, after=after)
        with pytest.raises(Killed):
            await desk.redrive.retry("Till/1", letter.message_id, by="ada", payload=payload)
    left = await desk.letter(letter)
    assert (left.state, left.unresolved) == (LetterState.SENDING, True)
    async with desk.open():
        # Another process, and another person, who does not say what was decided.
        sent = await desk.new_redrive().retry("Till/1", letter.message_id, by="bob")
        assert sent.state is LetterState.RETRIED
        with pytest.raises(LetterResolved, match="ada retried it before"):
            await desk.redrive.retry("Till/1", letter.message_id, by="ada", payload=payload)
    assert await desk.sold() == [499 if edited else 500]
    assert sent.resolution is not None
    assert (sent.resolution.by, sent.resolution.edited) == ("ada", edited)
    assert sent.payload is None


async def test_a_retry_that_was_handled_long_ago_is_not_sent_again_to_finish_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, desk.queue, "enqueue", after=True)
        with pytest.raises(Killed):
            await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    async with desk.open():
        pass
    # The queue forgets acknowledged messages after a day, and workers all but the latest turns.
    desk.queue._known.clear()
    monkeypatch.setattr("actors.state.REMEMBERED_MESSAGES", 0)
    desk.runtime.deactivate("Till/1")
    async with desk.open():
        await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    assert await desk.sold() == [500]
    assert (await desk.letter(letter)).state is LetterState.RETRIED


async def test_a_store_that_does_not_answer_is_asked_again_safely() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    write = desk.dead_letters.replace
    unclear = iter([True, True])

    async def replace_(*args: Any, **more: Any) -> Any:
        document = await write(*args, **more)
        if next(unclear, False):
            raise Unavailable("the answer was lost")
        return document

    desk.dead_letters.replace = replace_  # type: ignore[method-assign]
    async with desk.open():
        for _ in range(2):
            with pytest.raises(Unavailable):
                await desk.redrive.retry("Till/1", letter.message_id, by="ada")
        with pytest.raises(LetterResolved):
            await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    assert await desk.sold() == [500]


async def test_many_who_retry_at_once_send_it_once() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    async with desk.open():
        results = await asyncio.gather(
            *(
                desk.new_redrive().retry("Till/1", letter.message_id, by=f"person {n}")
                for n in range(8)
            ),
            return_exceptions=True,
        )
    assert await desk.sold() == [500]
    whose = {r.resolution.by for r in results if isinstance(r, DeadLetter) and r.resolution}
    assert len(whose) == 1
    assert all(isinstance(r, DeadLetter | LetterResolved) for r in results)


async def test_of_two_payloads_the_one_that_was_decided_first_is_sent() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    with pytest.MonkeyPatch.context() as patch:
        dies(patch, desk.redrive._runtime, "dispatch", after=False)
        with pytest.raises(Killed):
            await desk.redrive.retry(*("Till/1", letter.message_id), by="ada", payload={"cents": 1})
    for other in ({"cents": 2}, {"cents": 500}):
        with pytest.raises(LetterResolved, match="ada is retrying it with another payload"):
            await desk.redrive.retry("Till/1", letter.message_id, by="bob", payload=other)
    with pytest.raises(LetterResolved, match="ada is retrying it"):
        await desk.redrive.discard("Till/1", letter.message_id, by="bob", reason="no use")
    async with desk.open():
        await desk.redrive.retry("Till/1", letter.message_id, by="bob", payload={"cents": 1})
    assert await desk.sold() == [1]


async def test_discarding_takes_a_reason_and_ends_it() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    with pytest.raises(InvalidMessage, match="takes a reason"):
        await desk.redrive.discard("Till/1", letter.message_id, by="ada", reason="  ")
    gone = await desk.redrive.discard("Till/1", letter.message_id, by="ada", reason=" a test ")
    assert (gone.state, gone.resolution and gone.resolution.reason) == (
        LetterState.DISCARDED,
        "a test",
    )
    for act in (
        desk.redrive.retry("Till/1", letter.message_id, by="bob"),
        desk.redrive.discard("Till/1", letter.message_id, by="bob", reason="me too"),
    ):
        with pytest.raises(LetterResolved, match="ada discarded it before"):
            await act
    assert (await desk.queue.depth()).ready == 0
    assert await desk.redrive.fates([gone]) == {}


async def test_of_one_who_retries_and_one_who_discards_at_once_one_is_told() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    read = desk.letters.get
    first = [True]

    async def get(*key: str) -> DeadLetter | None:
        found = await read(*key)
        if first.pop() if first else False:
            await desk.new_redrive().discard(*key, by="bob", reason="no use")
        return found

    desk.letters.get = get  # type: ignore[method-assign]
    with pytest.raises(LetterResolved, match="bob discarded it before"):
        await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    assert (await desk.queue.depth()).ready == 0


async def test_what_is_not_kept_any_more_is_said() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    with pytest.raises(LetterGone, match="no such dead letter"):
        await desk.redrive.retry("Till/2", letter.message_id, by="ada")
    desk.queue._dead.clear()
    # The archive keeps messages too, for a while.
    assert (await desk.redrive.message(letter)) is not None
    await desk.archived.delete(letter.message_id, letter.correlation_id)
    with pytest.raises(LetterGone, match="Neither the queue nor the archive"):
        await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    assert await desk.letter(letter) == letter


async def test_a_group_is_retried_in_steps_each_actors_messages_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.redrive.STEP", 4)
    desk = Desk()
    for actor in ("Till/1", "Till/2"):
        await desk.give_up(1, 2, 3, actor=actor)
    await desk.redrive.discard(
        *("Till/2", (await desk.letters.find(LetterFilter())).letters[0].message_id),
        by="ada",
        reason="not this one",
    )
    (late,) = await desk.give_up(9, actor="Till/3")
    criteria = LetterFilter(error_type="TillClosed", until_us=late.at_us - 1)
    outcomes = []
    cursor = None
    WORKING["till"] = False
    async with desk.open():
        while True:
            step = await desk.redrive.step(criteria, by="ada", batch="b1", cursor=cursor)
            outcomes += step.outcomes
            cursor = step.cursor
            if cursor is None:
                break
            # They fail again meanwhile, and are not of this group retry then.
            await desk.settled()
    assert [outcome.problem for outcome in outcomes] == [None] * 5
    batch = (await desk.letters.find(LetterFilter(batch="b1"))).letters
    assert {letter.message_id for letter in batch} == {o.letter.message_id for o in outcomes}
    assert set((await desk.redrive.fates(batch)).values()) == {Fate.FAILED}
    WORKING["till"] = True
    async with desk.open():
        step = await desk.redrive.step(LetterFilter(error_type="TillClosed"), by="ada", batch="b2")
        while step.cursor is not None:
            step = await desk.redrive.step(
                *(LetterFilter(error_type="TillClosed"),),
                by="ada",
                batch="b2",
                cursor=step.cursor,
            )
    assert await desk.sold("Till/1") == [1, 2, 3]
    assert await desk.sold("Till/2") == [1, 2]
    assert await desk.sold("Till/3") == [9]


async def test_what_cannot_be_sent_in_a_group_says_why_and_the_others_are_sent() -> None:
    desk = Desk()
    good, gone, taken = await desk.give_up(1, 2, 3)
    bad = await desk.send("Till/1", "sell", {"cents": "none"})
    async with desk.serve(Till):
        await desk.settled()
    desk.queue._dead[:] = [m for m in desk.queue._dead if m.message_id != gone.message_id]
    await desk.archived.delete(gone.message_id, gone.correlation_id)
    find = desk.letters.find

    async def find_(*args: Any, **more: Any) -> Any:
        page = await find(*args, **more)
        # Between the list and its turn somebody else has it.
        await desk.new_redrive().retry("Till/1", taken.message_id, by="bob")
        return page

    desk.letters.find = find_  # type: ignore[method-assign]
    async with desk.open():
        step = await desk.redrive.step(LetterFilter(), by="ada", batch="b1")
    problems = {o.letter.message_id: str(o.problem) for o in step.outcomes}
    assert problems[good.message_id] == "None"
    assert "Neither the queue nor the archive" in problems[gone.message_id]
    assert "bob retried it before" in problems[taken.message_id]
    assert "Till.sell: Expected `int`" in problems[bad.message_id]
    assert sorted(await desk.sold()) == [1, 3]


async def test_a_letter_changes_hands_only_under_its_etag() -> None:
    desk = Desk()
    (letter,) = await desk.give_up(500)
    await desk.redrive.retry("Till/1", letter.message_id, by="ada")
    with pytest.raises(PreconditionFailed):
        await desk.letters.replace(replace(letter, state=LetterState.OPEN))


def test_the_wire_form_of_a_retry_says_what_it_is_a_retry_of() -> None:
    message = Message.new("Till/1", "sell", {"cents": 1})
    assert "retryOf" not in message.to_document()["metadata"]
    again = structs.replace(message, metadata=structs.replace(message.metadata, retry_of="m1"))
    assert again.to_document()["metadata"]["retryOf"] == "m1"
    assert Message.from_document(again.to_document()) == again
