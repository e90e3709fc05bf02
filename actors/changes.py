"""`PathHistory`: which message changed a path of an actor's state last, from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from actors.journal import EntryType, Journal, JournalEntry, JournalRecord
from actors.patch import merge_patch
from actors.state import reusable
from actors.stores import StateStore
from storage import Container
from tracing.changes import ChangedBy, LastChange
from tracing.jsonpath import ABSENT, Path, look_up

MOST_RECORDS = 2_000
"""Journal records that one question reads at most."""


class _Unknown:
    """Marks a value that records further back would tell."""


_UNKNOWN: Final = _Unknown()


@dataclass(frozen=True, slots=True)
class Written:
    """What a patch makes of the path: `value` in its place, or merged into the object there."""

    value: Any
    merges: bool

    def applied_to(self, value: Any) -> Any:
        if not self.merges:
            return self.value
        if value is _UNKNOWN:
            return _UNKNOWN
        return merge_patch(value if isinstance(value, Mapping) else {}, self.value)


@dataclass(frozen=True, slots=True)
class _Brief:
    """A record without what the question does not need: entries may hold megabytes.

    `commands` have their place in the turn and what they write to the path, if anything.
    """

    index: int
    next_index: int
    message_id: str
    correlation_id: str
    at_us: int
    commands: tuple[JournalEntry, ...]
    end: EntryType | None
    final: bool


class PathHistory:
    """Answers for one path of one actor at a time, reading its journal backwards."""

    def __init__(
        self,
        journal: Journal,
        state_store: StateStore,
        archive: Container,
        *,
        most_records: int = MOST_RECORDS,
    ) -> None:
        self._journal = journal
        self._state_store = state_store
        self._archive = archive
        self._most = most_records

    async def last_change(
        self, actor_id: str, version: int, path: Path, run: str | None = None
    ) -> LastChange:
        """Return which turn changed `path` last before `version`.

        `run` is the correlation id of the message that the question is about: journals of earlier
        versions do not tell it, and a message of the same run is found with it.

        Raises:
            storage.StorageError: the journal could not be read.
        """
        briefs: list[_Brief] = []
        async for page in self._journal.latest(actor_id, until=version, page=min(200, self._most)):
            room = self._most - len(briefs)
            briefs += [_brief(record, path) for record in page[:room]]
            cut = len(page) > room or len(briefs) >= self._most
            if not briefs or briefs[-1].index == 0:
                break
            found = _latest(briefs[::-1], _UNKNOWN)
            if isinstance(found, _Brief):
                return await self._answer(found, briefs, run)
            if cut:
                break
        return await self._ended(actor_id, version, path, briefs, run)

    async def _ended(
        self, actor_id: str, version: int, path: Path, briefs: list[_Brief], run: str | None
    ) -> LastChange:
        """Answer when there is nothing further back to read."""
        first = briefs[-1].index if briefs else version
        state: Mapping[str, Any] | None = {}
        if first:
            found = await self._state_store.states(actor_id, [first])
            state = found[first].data if first in found else None
        base = _UNKNOWN if state is None else look_up(state, path)
        latest = _latest(briefs[::-1], base, whole=True)
        if latest is not None:
            certain = isinstance(latest, _Brief)
            brief = latest if isinstance(latest, _Brief) else latest.brief
            return await self._answer(brief, briefs, run, certain=certain)
        if first == 0:
            return LastChange(None, "start", len(briefs), 0)
        bound = len(briefs) >= self._most
        return LastChange(None, "bound" if bound else "expired", len(briefs), first)

    async def _answer(
        self, brief: _Brief, briefs: list[_Brief], run: str | None, *, certain: bool = True
    ) -> LastChange:
        keys = [(brief.message_id, own) for own in {brief.correlation_id, run} if own]
        found = await self._archive.read_many(keys)
        body = next((found[key].body for key in keys if key in found), {})
        trace = body.get("trace") or {}
        by = ChangedBy(
            brief.message_id,
            brief.at_us * 1000,
            brief.next_index,
            body.get("messageType"),
            body.get("metadata", {}).get("sender"),
            trace.get("traceId"),
            trace.get("spanId"),
        )
        return LastChange(by, "found", len(briefs), briefs[-1].index, certain)


@dataclass(frozen=True, slots=True)
class _Doubtful:
    """The latest turn that wrote the path, where it cannot be told whether that changed it."""

    brief: _Brief


def _latest(
    briefs: Sequence[_Brief], base: Any, *, whole: bool = False
) -> _Brief | _Doubtful | None:
    """Return the last of `briefs`, oldest first, whose turn changed the path.

    `base` is the path's value before them. Unless they are `whole`, the first turn among them may
    have begun before.
    """
    value = base
    turns: dict[str, list[JournalEntry]] = {}
    latest: _Brief | _Doubtful | None = None
    cut = None if whole or not briefs else briefs[0].message_id
    for brief in briefs:
        if cut is not None and brief.message_id != cut:
            cut = None
        commands = turns.setdefault(brief.message_id, [])
        commands += brief.commands
        if brief.end is EntryType.TURN_FAILED:
            commands[:] = [] if brief.final else reusable(commands)
        elif brief.end is EntryType.TURN_COMPLETED:
            del turns[brief.message_id]
            if cut is not None:
                value, latest = _UNKNOWN, _Doubtful(brief)
                continue
            before = value
            writes = [w for w in (command.data["writes"] for command in commands) if w is not None]
            for written in writes:
                value = written.applied_to(value)
            if not writes:
                continue
            if before is _UNKNOWN or value is _UNKNOWN:
                latest = _Doubtful(brief)
            elif _differ(before, value):
                latest = brief
    return latest


def _brief(record: JournalRecord, path: Path) -> _Brief:
    last = record.entries[-1]
    ends = last.type in (EntryType.TURN_COMPLETED, EntryType.TURN_FAILED)
    return _Brief(
        record.index,
        record.next_index,
        record.message_id,
        last.data.get("correlationId", record.message_id),
        record.at_us,
        tuple(
            JournalEntry(entry.type, {"seq": entry.data.get("seq", 0), "writes": _of(entry, path)})
            for entry in record.entries[: -1 if ends else None]
        ),
        last.type if ends else None,
        bool(last.data.get("final")),
    )


def _of(entry: JournalEntry, path: Path) -> Written | None:
    return written(entry.data["patch"], path) if entry.type is EntryType.STATE_PATCHED else None


def written(patch: Mapping[str, Any], path: Path) -> Written | None:
    """Return what a merge patch writes to `path`, or None when it leaves it alone."""
    node: Any = patch
    for place, key in enumerate(path):
        if not isinstance(node, Mapping):
            # What holds the path is replaced as a whole.
            return Written(look_up(node, path[place:]), merges=False)
        if isinstance(key, int):
            # An object stands where the path wants an array.
            return Written(ABSENT, merges=False)
        if key not in node:
            return None
        node = node[key]
    if isinstance(node, Mapping):
        return Written(node, merges=True)
    return Written(ABSENT if node is None else node, merges=False)


def _differ(before: Any, after: Any) -> bool:
    if before is ABSENT or after is ABSENT:
        return before is not after
    return _canonical(before) != _canonical(after)


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
