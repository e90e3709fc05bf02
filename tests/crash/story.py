"""A story in waves: what is sent, what must come of it, and how one finds out that it did."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors import ActorRuntime, EntryType, JournalRecord
from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.inbox import ACTOR_EVENTS
from loomweb.wiring import Loom
from storage import Container, Document
from tests.actors import world
from tests.crash.cast import CAST, EFFECTS, LAPS
from tracing import Outcome, RefKind

WORDS = 2


@dataclass(frozen=True, slots=True)
class Ending:
    """What a story has come to.

    Attributes:
        states: of every actor that handled something, by id.
        messages: ids of all that were ever sent.
        dead: ids of those that became dead letters.
        ended: how often the turn of each message ended.
        received: how often each event was received.
        waiting: events that nobody took.
    """

    states: Mapping[str, Mapping[str, Any]]
    messages: frozenset[str]
    dead: frozenset[str]
    ended: Mapping[str, int]
    received: Mapping[str, int]
    waiting: frozenset[str]


async def send_wave(runtime: ActorRuntime, wave: int) -> None:
    """Send the messages of one wave, under ids of their own."""
    people: list[tuple[str, str, dict[str, Any]]] = [
        ("buyer", "order", {}),
        ("friend", "order", {}),
        ("listener", "listen", {"words": WORDS}),
        ("listener", "afterwards", {}),
        ("sleeper", "nap", {}),
        ("guest", "travel", {"room": "room"}),
        ("unlucky", "travel", {"room": "sold-out"}),
        ("asker", "ask", {}),
        ("stumbler", "stumble", {}),
        ("runner", "run", {"lap": 1}),
    ]
    for who, kind, payload in people:
        await runtime.send(f"Person/{who}-{wave}", kind, payload, message_id=f"{kind}-{who}-{wave}")


async def send_events(runtime: ActorRuntime, wave: int) -> None:
    """Send the events that a wave waits for; some of them twice, as a sender in doubt does."""
    for number in range(WORDS):
        for _ in range(1 + number):
            await runtime.send_event(
                f"Person/listener-{wave}", "word", {"number": number}, event_id=f"word-{number}"
            )
    for who in ("guest", "unlucky"):
        await runtime.send_event(f"Person/{who}-{wave}", "paid", {}, event_id="paid")


async def in_peace(waves: int, folder: Path) -> Ending:
    """Tell the story in memory, where nothing fails."""
    peace = world.World(traced=False)
    folder.mkdir()
    EFFECTS.set(folder / "effects")
    async with peace.serve(*CAST):
        for wave in range(waves):
            await send_wave(peace.runtime, wave)
            await send_events(peace.runtime, wave)
        await peace.settled()
    return await ending(
        peace.archived, peace.dead_letters, peace.events_container, peace.store.records, peace.state
    )


async def ending_of(loom: Loom) -> Ending:
    """Return what has come of the story in this Loom."""
    found = loom.containers

    async def state(actor_id: str) -> Mapping[str, Any]:
        return (await loom.state_store.load(actor_id)).data

    return await ending(
        found[MESSAGE_ARCHIVE.name],
        found[DEAD_LETTERS.name],
        found[ACTOR_EVENTS.name],
        loom.state_store.records,
        state,
    )


async def ending(
    archive: Container, dead: Container, events: Container, records_of: Any, state_of: Any
) -> Ending:
    messages = await _all(archive)
    actors = sorted({message.body["actorId"] for message in messages})
    ended: Counter[str] = Counter()
    received: Counter[str] = Counter()
    for actor in actors:
        record: JournalRecord
        async for record in records_of(actor):
            ended[record.message_id] += record.ends_turn
            received.update(
                f"{actor} {entry.data['event']}"
                for entry in record.entries
                if entry.type is EntryType.EVENT_RECEIVED
            )
    return Ending(
        {actor: await state_of(actor) for actor in actors},
        frozenset(message.body["messageId"] for message in messages),
        frozenset(letter.body["id"] for letter in await _all(dead)),
        ended,
        received,
        frozenset(event.body["id"] for event in await _all(events) if "at" in event.body),
    )


async def _all(container: Container) -> list[Document]:
    found: list[Document] = []
    since = None
    while (page := await container.changes(since)).documents:
        found += page.documents
        since = page.token
    return found


def check_ending(war: Ending, peace: Ending, waves: int) -> None:
    """Check that nothing was lost, nothing counted twice, and nothing still waits."""
    assert war.messages == peace.messages
    assert set(war.ended) == war.messages
    assert set(war.ended.values()) == {1}
    assert war.dead == peace.dead
    assert len(war.dead) == waves
    assert war.received == peace.received
    assert set(war.received.values()) == {1}
    assert not war.waiting
    assert war.states == peace.states
    assert [war.states[f"Person/runner-{wave}"]["laps"] for wave in range(waves)] == [LAPS] * waves


def check_effects(effects: Path, peaceful: Path) -> int:
    """Check that every effect happened, each under one key; return how many happened again."""
    keys: dict[str, set[str]] = defaultdict(set)
    lines = effects.read_text().splitlines()
    for line in lines:
        what, key = line.split()
        keys[what].add(key)
    expected = dict(line.split() for line in peaceful.read_text().splitlines())
    assert keys == {what: {key} for what, key in expected.items()}
    return len(lines) - len(keys)


async def check_references(loom: Loom) -> None:
    """Check that every reference of every trace leads to what it names."""
    summaries = (await loom.reader.find_traces(limit=1_000)).traces
    trees = [await loom.reconstructor.reconstruct(summary.trace_id) for summary in summaries]
    refs = {
        ref
        for tree in trees
        if tree is not None
        for span in tree.spans
        for ref in span.refs()
        if ref.kind is not RefKind.IDEMPOTENCY
    }
    loaded = await loom.reconstructor.load(list(refs))
    lies = [ref for ref, found in loaded.items() if found.outcome is not Outcome.LOADED]
    assert lies == []


async def unfinished(loom: Loom) -> dict[str, list[str]]:
    """Return the actors with a suspended turn, and what their journals have last."""
    found = {}
    for kind in CAST:
        for actor in await loom.queue.parked(kind.type_name(), limit=10):
            records = [record async for record in loom.state_store.records(actor)]
            entries = [entry for record in records[-6:] for entry in record.entries]
            found[actor] = [f"{entry.type.value} {dict(entry.data)}"[:160] for entry in entries]
    return found


async def joined(processes: Iterable[Any]) -> list[int]:
    """Wait for processes; return how they ended."""
    for process in processes:
        await asyncio.to_thread(process.join, 40)
    return [process.exitcode for process in processes]
