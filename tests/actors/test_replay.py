"""Replaying histories: what is the same passes, what is not is told as expected ⇄ found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors import Actor, SagaCompensated, activity, handler
from actors.testing import ActorHarness, BadHistory, Replay, replay


@activity
async def price(item: str) -> int:
    return 5


@activity
async def pack(item: str) -> str:
    return f"a box of {item}"


@activity
async def unpack(item: str) -> None: ...


class Shop(Actor):
    """As it was when the histories were written."""

    @handler
    async def sell(self, payload: dict[str, Any]) -> None:
        item = payload["item"]
        cost = await self.call_activity(price, item=item)
        self.update_state(sold={item: cost})
        if payload.get("wait"):
            await self.wait_for_event("paid", timeout=60)
        box = await self.call_activity(pack, item=item)
        self.send("Post/1", "carry", {"box": box})

    @handler
    async def refuse(self, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="none")
        raise ValueError("nothing to sell")

    @handler
    async def undo(self, payload: dict[str, Any]) -> str:
        try:
            async with self.saga("undo") as saga:
                await saga.step(pack, undo=unpack, item="x")
                raise ValueError("no")
        except SagaCompensated:
            return "undone"


def recorded(message_type: str = "sell", **payload: Any) -> str:
    """Return the history of one message to the shop as it was."""
    harness = ActorHarness(Shop)
    harness.actor(Shop, "1").send(message_type, {"item": "tea", **payload})
    return harness.actor(Shop, "1").history


def shop(**handlers: Any) -> type[Actor]:
    """Return today's shop, with some handlers written anew."""
    made = {name: handler(message_type=name)(function) for name, function in handlers.items()}
    return type("Shop", (Shop,), made)


def mismatch(history: str, **handlers: Any) -> tuple[str, str, str]:
    (found,) = replay(history, shop(**handlers)).mismatches
    return found.expected, found.found, found.where


@pytest.mark.parametrize("message_type", ["sell", "refuse", "undo"])
def test_unchanged_code_replays_what_it_wrote(message_type: str) -> None:
    found = replay(recorded(message_type), Shop)
    assert found == Replay(turns=1)


def test_a_suspended_turn_is_replayed_up_to_where_it_waits() -> None:
    history = recorded(wait=True)
    assert replay(history, Shop) == Replay(turns=1, in_flight=1)

    async def sell(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="tea")
        self.update_state(sold={"tea": 5})
        await self.wait_for_event("paid", timeout=60)
        self.update_state(thanks="a new end harms no turn that has not come to it")

    assert replay(history, shop(sell=sell)).mismatches == []


def test_an_activity_with_other_arguments_is_told_with_the_line() -> None:
    async def sell(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="coffee")

    expected, found, where = mismatch(recorded(), sell=sell)
    assert expected.startswith("activity_scheduled (price), args ")
    assert found.startswith("activity_scheduled (price), args ")
    assert expected != found
    assert where.startswith("tests/actors/test_replay.py:")
    assert where.endswith('await self.call_activity(price, item="coffee")')


def test_another_change_of_state_is_told_with_both() -> None:
    async def sell(self: Actor, payload: dict[str, Any]) -> None:
        cost = await self.call_activity(price, item="tea")
        self.update_state(sold={"tea": cost + 1})

    expected, found, _ = mismatch(recorded(), sell=sell)
    assert expected == 'state_patched, patch {"sold":{"tea":5}}'
    assert found == 'state_patched, patch {"sold":{"tea":6}}'


def test_steps_in_another_order_one_less_and_one_more_are_told() -> None:
    async def other(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(pack, item="tea")

    async def less(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="tea")
        self.update_state(sold={"tea": 5})

    async def more(self: Actor, payload: dict[str, Any]) -> None:
        await Shop.sell(self, payload)  # type: ignore[arg-type]
        self.update_state(more=True)

    assert mismatch(recorded(), sell=other)[:2] == (
        "activity_scheduled (price)",
        "activity_scheduled (pack)",
    )
    assert mismatch(recorded(), sell=less)[:2] == (
        "activity_scheduled (pack)",
        "the end of the handler",
    )
    assert mismatch(recorded(), sell=more)[:2] == (
        "turn_completed",
        'state_patched, patch {"more":true}',
    )


def test_a_handler_that_raises_now_is_told_with_the_line() -> None:
    async def sell(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="tea")
        raise KeyError("cents")

    expected, found, where = mismatch(recorded(), sell=sell)
    assert (expected, found) == ("state_patched", "turn_failed (KeyError)")
    assert 'raise KeyError("cents")' in where


def test_a_change_behind_patched_keeps_recorded_turns_on_their_path() -> None:
    async def sell(self: Actor, payload: dict[str, Any]) -> None:
        if self.patched("free tea"):
            self.update_state(sold={"tea": 0})
            return
        await Shop.sell(self, payload)  # type: ignore[arg-type]
        if self.patched("thanks"):
            self.update_state(thanks=True)

    assert replay(recorded(), shop(sell=sell)) == Replay(turns=1)


def test_a_failed_turn_may_succeed_now() -> None:
    async def refuse(self: Actor, payload: dict[str, Any]) -> None:
        await self.call_activity(price, item="none")

    found = replay(recorded("refuse"), shop(refuse=refuse))
    assert found.mismatches == []
    (changed,) = found.changed
    assert (changed.expected, changed.found[:14]) == ("turn_failed (ValueError)", "turn_completed")


def test_what_a_call_is_answered_is_compared() -> None:
    def history() -> str:
        harness = ActorHarness(Shop)
        assert harness.call("Shop/1", "undo", {}) == "undone"
        return harness.history("Shop/1")

    async def undo(self: Actor, payload: dict[str, Any]) -> str:
        await Shop.undo(self, payload)  # type: ignore[arg-type]
        return "done"

    assert replay(history(), Shop) == Replay(turns=1)
    expected, found, _ = mismatch(history(), undo=undo)
    assert expected == 'turn_completed, outbox [], result "undone"'
    assert found == 'turn_completed, outbox [], result "done"'


def test_turns_that_cannot_be_replayed_are_told() -> None:
    history = recorded()
    (told,) = replay(history).unchecked
    assert told.endswith("its actor type was not given")
    lines = history.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith('{"message"'))
    lines[place] = json.dumps({"lost": "message-1"})
    (told,) = replay("\n".join(lines), Shop).unchecked
    assert told == "Shop/1, turn of message-1: its message has expired"
    del lines[place]
    (told,) = replay("\n".join(lines), Shop).unchecked
    assert told.endswith("the history has no message of it")


def test_a_gap_is_gone_over_with_the_state_after_it() -> None:
    class Sum(Actor):
        @handler
        async def add(self, payload: dict[str, int]) -> None:
            self.update_state(total=self.state.get("total", 0) + payload["n"])

    harness = ActorHarness(Sum)
    for n in (1, 2, 3):
        harness.actor(Sum, "1").send("add", {"n": n})
    lines = harness.history().splitlines()
    whole = "\n".join(lines)
    assert replay(whole, Sum) == Replay(turns=3)
    gone = [lines[0], '{"gap": {"until": 2, "state": {"total": 1}}}', *lines[3:]]
    assert replay(gone, Sum) == Replay(turns=2)
    unknown = [lines[0], '{"gap": {"until": 2, "state": null}}', *lines[3:]]
    assert [told.rpartition(": ")[2] for told in replay(unknown, Sum).unchecked] == [
        "the state before it has expired"
    ] * 2
    wrong = [lines[0], '{"gap": {"until": 2, "state": {"total": 7}}}', *lines[3:]]
    assert len(replay(wrong, Sum).mismatches) == 1


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda lines: lines[:-1], "the history of Shop/1 was cut"),
        (lambda lines: lines[1:], "line 1: '(record|message)' is out of place"),
        (lambda lines: [*lines[:2], "{", *lines[2:]], "line 3 is no part of a history"),
        (lambda lines: [*lines[:2], "[1]", *lines[2:]], "line 3 is no part of a history"),
        (lambda lines: [*lines[:2], '{"other": 1}', *lines[2:]], "line 3 is no part of a history"),
        (lambda lines: [lines[0].replace(":1,", ":2,", 1)], "format 2; this version reads 1"),
        (lambda lines: [lines[0], '{"record": {"index": 0}}'], "line 2 is no part of a history"),
    ],
)
def test_a_file_that_is_no_history_is_refused_with_its_line(spoil: Any, complaint: str) -> None:
    with pytest.raises(BadHistory, match=complaint):
        replay(spoil(recorded().splitlines()), Shop)


def test_a_file_of_several_histories_is_read_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "two.jsonl"
    file.write_text(recorded() + "\n" + recorded("refuse"))
    assert replay(file, Shop) == Replay(turns=2)
