"""Dead letters are listed and resolved alike on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from actors import DeadLetters, Message
from actors.deadletters import (
    DEAD_LETTERS,
    DeadLetter,
    LetterFilter,
    LetterState,
    Reason,
    Resolution,
)
from storage import InvalidQuery, PreconditionFailed, Store
from storage.cosmos import CosmosStore
from storage.memory import MemoryStore
from storage.sqlite import Database, SqliteStore
from tests.cosmos_server import KEY

START = 1_800_000_000_000_000
"""Microseconds since the epoch."""
SECOND = 1_000_000


class Ticking:
    """Each look at the clock is a second later."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> int:
        self.looks += 1
        return (START + self.looks * SECOND) * 1_000


@pytest.fixture(params=["memory", "sqlite", "cosmos"])
async def letters(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DeadLetters]:
    store: Store
    if request.param == "memory":
        store = MemoryStore()
    elif request.param == "sqlite":
        store = SqliteStore(Database(tmp_path / "letters.db"))
    else:
        endpoint = request.getfixturevalue("cosmos_endpoint")
        store = CosmosStore(endpoint, KEY, f"letters-{uuid4().hex[:8]}")
    yield DeadLetters(await store.container(DEAD_LETTERS), clock_ns=Ticking())
    await store.close()


async def give_up(
    letters: DeadLetters, number: int, actor: str = "Order", error: str = "Boom"
) -> DeadLetter:
    message = Message.new(f"{actor}/{number}", "place", {}, message_id=f"m{number}")
    await letters.add(message, Reason(error, f"f-{error}", 3, 7))
    found = await letters.get(message.actor_id, message.message_id)
    assert found is not None
    return found


async def listed(letters: DeadLetters, criteria: LetterFilter, **order: bool) -> list[int]:
    """Return the numbers of all that match, read by pages of two."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await letters.find(criteria, cursor=cursor, limit=2, **order)
        found += [int(letter.message_id[1:]) for letter in page.letters]
        cursor = page.cursor
        if cursor is None:
            return found


async def test_every_filter_of_the_list(letters: DeadLetters) -> None:
    await give_up(letters, 1)
    await give_up(letters, 2, error="Bang")
    third = await give_up(letters, 3, actor="Shipment")
    fourth = await give_up(letters, 4)
    fifth = await give_up(letters, 5, error="Bang")
    by = Resolution("ada", START, "no use")
    await letters.replace(replace(third, state=LetterState.DISCARDED, resolution=by))
    sent = replace(by, message_id="n", batch="b1")
    await letters.replace(replace(fourth, state=LetterState.RETRIED, resolution=sent))
    await letters.replace(replace(fifth, state=LetterState.SENDING, resolution=sent))
    open_, sending = (LetterState.OPEN,), (LetterState.OPEN, LetterState.SENDING)
    for criteria, wanted in (
        (LetterFilter(), [5, 4, 3, 2, 1]),
        (LetterFilter(open_), [2, 1]),
        (LetterFilter(sending), [5, 2, 1]),
        (LetterFilter((LetterState.DISCARDED,)), [3]),
        (LetterFilter(actor_type="Order"), [5, 4, 2, 1]),
        (LetterFilter(sending, "Order", "Bang"), [5, 2]),
        (LetterFilter(fingerprint="f-Boom"), [4, 3, 1]),
        (LetterFilter(open_, fingerprint="f-Boom"), [1]),
        (LetterFilter(batch="b1"), [5, 4]),
        (LetterFilter((LetterState.RETRIED,), batch="b1"), [4]),
        (LetterFilter(until_us=third.at_us), [3, 2, 1]),
        (LetterFilter(open_, "Shipment"), []),
    ):
        assert await listed(letters, criteria) == wanted, criteria
        assert await listed(letters, criteria, oldest_first=True) == wanted[::-1], criteria
    with pytest.raises(InvalidQuery):
        await letters.find(LetterFilter(), cursor="zzz")


async def test_a_letter_comes_back_as_it_was_written(letters: DeadLetters) -> None:
    letter = await give_up(letters, 1)
    assert (letter.state, letter.unresolved, letter.attempts) == (LetterState.OPEN, True, 3)
    resolution = Resolution("ada", START, "again", "n1", "t" * 32, "s" * 16, "r" * 16, True, "b1")
    begun = replace(
        letter, state=LetterState.SENDING, resolution=resolution, payload={"lines": [1, None]}
    )
    written = await letters.replace(begun)
    assert written == replace(begun, etag=written.etag)
    assert await letters.get("Order/1", "m1") == written
    assert await letters.get("Order/1", "m2") is None


async def test_of_two_who_resolve_a_letter_one_is_told(letters: DeadLetters) -> None:
    letter = await give_up(letters, 1)
    discarded = replace(
        letter, state=LetterState.DISCARDED, resolution=Resolution("ada", START, "no use")
    )
    await letters.replace(discarded)
    with pytest.raises(PreconditionFailed):
        await letters.replace(replace(discarded, resolution=Resolution("bob", START)))
    # The worker that gave it up died before it took the message off the queue, and comes again.
    again = await give_up(letters, 1)
    assert again.resolution is not None
    assert (again.at_us, again.state, again.resolution.by) == (
        letter.at_us,
        LetterState.DISCARDED,
        "ada",
    )
