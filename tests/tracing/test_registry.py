"""The registry says what is so: every type is listed, with what its events carry and no more."""

from __future__ import annotations

import fnmatch
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from storage.memory import MemoryContainer
from tests.builders import event, trace_writer
from tests.conftest import registered_types_only
from tests.cosmos_server import ROOT
from tests.tracing.emitted import PASSED_ON, emitting_sites, sites_in
from tracing import RefKind, failure, rollup, tally
from tracing.containers import TRACE_EVENTS
from tracing.event_docs import ATTRIBUTES, REFS, groups
from tracing.hold import PROMOTING
from tracing.registry import BY_CODE, NOTABLE, REGISTRY, Attribute

CODES = {
    1: "workflow:started",
    2: "workflow:completed",
    3: "workflow:failed",
    4: "http:request",
    10: "queue:enqueued",
    11: "queue:dequeued",
    20: "message:received",
    21: "message:started",
    22: "message:completed",
    23: "message:failed",
    24: "message:retried",
    25: "message:dead_lettered",
    26: "message:duplicate",
    27: "turn:suspended",
    28: "turn:replayed",
    29: "turn:cancelled",
    30: "actor:created",
    31: "actor:activated",
    32: "actor:state_changed",
    33: "turn:parked",
    34: "turn:large",
    35: "message:expired",
    36: "turn:annotated",
    40: "activity:scheduled",
    41: "activity:started",
    42: "activity:completed",
    43: "activity:failed",
    44: "activity:retried",
    50: "child:spawned",
    51: "message:sent",
    52: "event:awaited",
    53: "event:received",
    54: "timer:set",
    55: "timer:fired",
    56: "message:withheld",
    60: "store:read",
    61: "store:write",
    62: "cosmosdb:read",
    63: "cosmosdb:write",
    64: "journal:compacted",
    70: "lock:acquired",
    71: "lock:blocked",
    72: "lock:released",
    73: "lock:lost",
    80: "foreign:completed",
    81: "foreign:failed",
    90: "saga:started",
    91: "saga:step_completed",
    92: "saga:compensating",
    93: "saga:compensated",
    94: "saga:completed",
    95: "saga:failed",
}
"""What stored segments mean by their codes: add to it, and change nothing."""


def test_codes_are_unique_and_mean_what_they_always_did() -> None:
    assert {code: kind.name for code, kind in BY_CODE.items()} == CODES
    assert {kind.name: kind.code for kind in REGISTRY.values()} == {
        name: code for code, name in CODES.items()
    }


def test_rows_are_whole() -> None:
    for kind in REGISTRY.values():
        assert kind.description.endswith("."), kind.name
        assert (Attribute.DURATION in kind.attributes) == bool(kind.measures), kind.name
        assert len(set(kind.refs)) == len(kind.refs), kind.name
        assert list(kind.attributes) == [a for a in Attribute if a in kind.attributes], kind.name
    assert set(ATTRIBUTES) == set(Attribute)
    assert set(REFS) == set(RefKind)
    shown = [row.type for group in groups() for row in group.rows]
    assert sorted(kind.code for kind in shown) == sorted(BY_CODE)


def test_every_type_that_the_source_emits_is_registered_and_every_registered_one_emitted() -> None:
    sites = emitting_sites()
    untold = {site.place for site in sites if site.types is None}
    assert {place.partition(":")[0] for place in untold} <= set(PASSED_ON), untold
    emitted: set[str] = set()
    for site in sites:
        for pattern in site.types or ():
            found = fnmatch.filter(REGISTRY, pattern)
            assert found, f"{site.place} emits {pattern}, which is not registered"
            emitted.update(found)
    assert set(REGISTRY) - emitted == set()


def test_the_search_for_emitted_types_follows_names_and_parameters() -> None:
    here, elsewhere = Path("here.py"), Path("elsewhere.py")
    source = """
class Reporter:
    def __init__(self, fast):
        family = "a" if fast else "b"
        self._read = f"{family}:read"

    def report(self, emitter):
        emitter.emit(self._read, 1)
        self._end(1, "c:ended")
        tracer.emit(Event(type="d:made", span_id="1"))
        emitter.emit(unknown())
        emitter.emit(NAMES[1])

    def queue(self):
        event = "e:sent"
        self.sent.append(event)

    def flush(self):
        for event in self.sent:
            self.emitter.emit(event)

    def note(self, what):
        event = f"f:{what.lower()}"
        self.emitter.emit(event)

    def _end(self, number, what):
        self._emitter.emit(what)
"""
    sources = {here: source, elsewhere: "NAMES: dict[int, str] = {1: 'g:one', 2: 'g:two'}"}
    found = [site.types for site in sites_in(here, sources)]
    assert sorted(sorted(types) for types in found if types is not None) == [
        ["a:read", "b:read"],
        ["c:ended"],
        ["d:made"],
        ["e:sent", "f:*"],
        ["f:*"],
        ["g:one", "g:two"],
    ]
    assert found.count(None) == 1


@pytest.mark.unregistered_types
def test_a_test_that_emits_an_unregistered_type_fails() -> None:
    with registered_types_only():
        trace_writer(MemoryContainer(TRACE_EVENTS)).emit(event("message:started"))
    with pytest.raises(AssertionError, match="1 events are of a type"), registered_types_only():
        trace_writer(MemoryContainer(TRACE_EVENTS)).emit(event("no:such"))


def test_the_document_is_what_the_registry_says() -> None:
    written = StringIO()
    call_command("event_types", stdout=written)
    assert (ROOT / "docs" / "events.md").read_text() == written.getvalue(), (
        "docs/events.md is out of date: run `python manage.py event_types > docs/events.md`"
    )


def test_whatever_is_counted_is_of_a_notable_type() -> None:
    for table in (tally._COUNTERS, tally._ROOT_RANK, rollup._COUNTERS, failure._OUTCOMES):
        assert set(table) <= NOTABLE
    assert PROMOTING <= NOTABLE
    assert {kind.code for kind in BY_CODE.values() if Attribute.ERROR_TYPE in kind.attributes} <= (
        NOTABLE
    )
