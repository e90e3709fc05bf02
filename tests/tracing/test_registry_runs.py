"""What is told while the product runs is what the registry lists, and all of it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from django.test import AsyncClient

from actors import (
    Actor,
    CosmosStateStore,
    NonRetryable,
    SagaCompensated,
    TurnLimits,
    activity,
    handler,
)
from actors.journal import ACTOR_JOURNALS
from actors.samples import ACTOR_TYPES, WORKFLOWS
from actors.samples.chain import ChainLink
from actors.stores import ACTOR_STATES
from actors.telemetry import TurnSpan
from loomweb.wiring import Loom
from storage.memory import MemoryContainer
from tests.actors.world import World
from tests.sample_runs import SAMPLE_RUNS, SampleRun, begin, prepare
from tests.web.conftest import settled
from tests.web.test_otlp import request_of
from tests.web.test_workflows import form
from tracing import Event, RefKind
from tracing.registry import REGISTRY, Attribute


def carried(event: Event) -> set[Attribute]:
    """Return the attributes that an event has a value for."""
    values: dict[Attribute, Any] = {
        Attribute.ACTOR: event.actor,
        Attribute.NAME: event.name,
        Attribute.ATTEMPT: event.attempt or None,
        Attribute.DURATION: event.duration_ns,
        Attribute.ERROR_TYPE: event.error_type,
        Attribute.FINGERPRINT: event.fingerprint,
        Attribute.PEER: event.peer,
    }
    return {attribute for attribute, value in values.items() if value is not None}


def unlisted(events: Iterable[Event]) -> set[str]:
    """Return what events carry that their rows do not list."""
    return {
        f"{event.type}: {what}"
        for event in events
        for what in (
            *(carried(event) - set(REGISTRY[event.type].attributes)),
            *({ref.kind for ref in event.refs} - set(REGISTRY[event.type].refs)),
        )
    }


def test_there_is_a_run_of_every_sample_that_ends_well_and_one_that_does_not() -> None:
    for fails in (False, True):
        assert {run.workflow for run in SAMPLE_RUNS if run.fails is fails} == set(WORKFLOWS)


@pytest.mark.parametrize("run", SAMPLE_RUNS, ids=lambda run: run.title)
async def test_a_sample_run_tells_nothing_that_the_registry_does_not_list(
    run: SampleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(run, monkeypatch)
    world = World()
    await begin(world.runtime, run)
    async with world.serve(*ACTOR_TYPES):
        await world.settled()
    events = await world.events()
    assert ("message:dead_lettered" in {event.type for event in events}) is run.fails
    assert unlisted(events) == set()


async def of_samples(patch: pytest.MonkeyPatch) -> list[Event]:
    """Return the events of all sample runs, on a store that gives itself out as Cosmos DB."""
    world = World()
    world.store = CosmosStateStore(  # type: ignore[assignment]
        MemoryContainer(ACTOR_STATES), MemoryContainer(ACTOR_JOURNALS)
    )
    world.runtime = world.new_runtime()
    for run in SAMPLE_RUNS:
        with patch.context() as patched:
            prepare(run, patched)
            await begin(world.runtime, run)
            async with world.serve(*ACTOR_TYPES):
                await world.settled()
    await world.send("ChainLink/1", "extend", {"depth": 1})
    for _ in range(2):
        async with world.serve(ChainLink, runtime=world.new_runtime()):
            await world.settled()
        await world.send("ChainLink/1", "extend", {"depth": 1})
    return await world.events()


async def of_mishaps() -> list[Event]:
    """Return the events of a blocked lock, a lost one, and a message that comes twice."""
    world = World()
    stale = world.new_runtime()
    await stale.activate("ChainLink/1")
    await world.locks.acquire("ChainLink/1", "someone", 0.1)
    sent = await world.send("ChainLink/1", "extend", {"depth": 1})
    async with world.serve(ChainLink):
        await world.settled()
    await world.send("ChainLink/1", "extend", {"depth": 1})
    async with world.serve(ChainLink, runtime=stale):
        await world.settled()
    world.queue = type(world.queue)()
    world.runtime = world.new_runtime()
    await world.queue.enqueue([sent])
    async with world.serve(ChainLink):
        await world.settled()
    return await world.events()


@activity
async def book(what: str) -> str:
    if what == "nothing":
        raise Unavailable
    return what


@activity
async def cancel(what: str) -> None:
    if what == "for good":
        raise Unavailable


class Unavailable(NonRetryable):
    pass


class Traveller(Actor):
    """Books in a saga, and waits: for a word, and for a time."""

    labels: ClassVar = {"pace": ("slow",)}

    @handler
    async def travel(self, payload: dict[str, str]) -> None:
        with contextlib.suppress(SagaCompensated):
            async with self.saga("trip") as saga:
                await saga.step(book, undo=cancel, what=payload["first"])
                await saga.step(book, what=payload["then"])

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        await self.wait_for_event("word")

    @handler
    async def gives_up(self, payload: dict[str, Any]) -> None:
        self.send("Traveller/told", "wait")
        raise Unavailable

    @handler
    async def sleeps(self, payload: dict[str, Any]) -> None:
        self.annotate(pace="slow")
        await self.sleep(0.01)


async def of_waits_and_sagas() -> list[Event]:
    """Return the events of sagas, of turns that wait, and of a journal that is compacted."""
    world = World()
    for number, bookings in enumerate(
        (("seat", "bed"), ("seat", "nothing"), ("for good", "nothing"))
    ):
        await world.send(
            f"Traveller/{number}", "travel", dict(zip(("first", "then"), bookings, strict=True))
        )
    await world.send("Traveller/weary", "gives_up")
    await world.send("Traveller/told", "wait")
    await world.send("Traveller/cancelled", "wait")
    sent = await world.send("Traveller/asleep", "sleeps")
    async with world.serve(Traveller):
        async with asyncio.timeout(10):
            while (await world.types()).count("turn:suspended") < 3:
                await asyncio.sleep(0.005)
        await world.runtime.send_event("Traveller/told", "word")
        await world.runtime.cancel("Traveller/cancelled")
        await world.settled()
    assert sent.trace is not None
    span = TurnSpan(world.writer, sent, sent.trace, 1, sent.metadata.sent_ns)
    await world.store.compact(await world.store.load("Traveller/asleep"), span)
    return await world.events()


class Hurried(Traveller):
    """A traveller whose code was changed: it does not wait any more."""

    @classmethod
    def type_name(cls) -> str:
        return Traveller.type_name()

    @handler
    async def wait(self, payload: dict[str, Any]) -> None:
        self.update_state(arrived=True)


async def of_changed_code() -> list[Event]:
    """Return the events of a turn that began before its code was changed."""
    world = World()
    await world.send("Traveller/1", "wait")
    for kind, until in ((Traveller, "turn:suspended"), (Hurried, "turn:parked")):
        async with world.serve(kind, runtime=world.new_runtime()):
            await world.runtime.resume("Traveller/1")
            async with asyncio.timeout(10):
                while until not in await world.types():
                    await asyncio.sleep(0.005)
    return await world.events()


async def of_bounds() -> list[Event]:
    """Return the events of a turn that grows large, and of a message that comes too late."""
    world = World()
    await world.runtime.send("Traveller/1", "travel", {"first": "seat", "then": "bed"})
    await world.runtime.send("Traveller/1", "sleeps", {}, ttl=1e-6)
    async with world.serve(Traveller, turn_limits=TurnLimits(warn_entries=2)):
        await world.settled()
    return await world.events()


async def of_requests(loom: Loom) -> list[Event]:
    """Return the events of a run that a request started, and of spans that a service sent."""
    client = AsyncClient()
    await client.post("/workflows/chain/", form("chain", depth=1))
    for status in (0, 2):
        spans = request_of("checkout", status=status)
        answer = await client.post("/v1/traces", spans, content_type="application/json")
        assert answer.status_code == 200
    found = [await loom.reader.get_trace(trace.trace_id) for trace in await settled(loom)]
    return [event for trace in found if trace is not None for event in trace.events]


async def test_every_type_is_told_and_carries_all_that_its_row_lists(
    loom: Loom, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        *await of_samples(monkeypatch),
        *await of_mishaps(),
        *await of_waits_and_sagas(),
        *await of_changed_code(),
        *await of_bounds(),
        *await of_requests(loom),
    ]
    assert unlisted(events) == set()
    attributes: defaultdict[str, set[Attribute]] = defaultdict(set)
    refs: defaultdict[str, set[RefKind]] = defaultdict(set)
    for told in events:
        attributes[told.type] |= carried(told)
        refs[told.type] |= {ref.kind for ref in told.refs}
    assert set(REGISTRY) - set(attributes) == set(), "no run here tells these types: add one"
    assert {name: set(kind.attributes) for name, kind in REGISTRY.items()} == attributes
    assert {name: set(kind.refs) for name, kind in REGISTRY.items()} == refs
