"""Histories: an actor's journal and messages as lines of JSON, to be kept and replayed.

A history is one JSON object per line, in this order; several may follow each other in one file:

    {"history": 1, "actor": "Type/key", "version": 12, "at": …}    the format's version, and whose
    {"gap": {"until": 1000, "state": {…}}}    records before that have expired; null: the state too
    {"record": {"index": 0, "messageId": "…", "at": …, "entries": […]}}
    {"message": {…}}    as archived, before the record that ends its turn; open turns' at the end
    {"lost": "…"}       the id of a message that has expired, in its place
    {"end": {"records": 7, "messages": 3, "lost": 0}}    without it the file was cut

Times are microseconds since the epoch. Errors are without their stacks.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actors.errors import ActorError, InvalidMessage
from actors.journal import EntryType, JournalRecord
from actors.message import Message
from actors.state import ActorState, Fold
from actors.stores import StateStore
from storage import Container, Query, Where

FORMAT = 1
BATCH = 100
"""Records whose messages are read at once."""
NAMED = frozenset({"history", "gap", "record", "message", "lost", "end"})


class BadHistory(ActorError):
    """A file that is no history, or was cut; says in which line."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A history begins: whose, and its version when it was exported."""

    actor_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Records before `until` are not there. `state` is the one at `until`; None when unknown."""

    until: int
    state: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Lost:
    """The id of a message that was not in the archive any more."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A history is complete: what it holds, and how many messages were lost."""

    records: int
    messages: int
    lost: int


Part = Opened | Gap | JournalRecord | Message | Lost | Closed


class HistoryExporter:
    """Writes histories. `archive` and `letters` are the containers of messages and dead letters."""

    def __init__(
        self,
        store: StateStore,
        archive: Container,
        letters: Container,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = store
        self._archive = archive
        self._letters = letters
        self._clock_ns = clock_ns

    async def export(self, actor_id: str) -> AsyncIterator[str]:
        """Yield the actor's history line by line, never holding more than a batch of records.

        Raises:
            storage.StorageError: a store does not answer.
        """
        fold = await self._store.load(actor_id)
        now_us = self._clock_ns() // 1000
        yield _line(history=FORMAT, actor=actor_id, version=fold.version, at=now_us)
        messages = _Messages(actor_id, self._archive, self._letters)
        expected, known, records = 0, True, 0
        batch: list[JournalRecord] = []
        async for record in self._store.records(actor_id, until=fold.version):
            gap = record.index != expected or (not known and record.index == fold.compacted)
            if gap or len(batch) == BATCH:
                for line in await _lines(batch, messages):
                    yield line
                batch = []
            if gap:
                state = (await self._store.states(actor_id, [record.index])).get(record.index)
                known = state is not None
                yield _line(
                    gap={"until": record.index, "state": None if state is None else state.data}
                )
            batch.append(record)
            records += 1
            expected = record.next_index
        for line in await _lines(batch, messages):
            yield line
        if expected < fold.version:
            yield _line(gap={"until": fold.version, "state": fold.data})
        for line in await messages.lines([(message_id, None) for message_id in fold.open_turns]):
            yield line
        yield _line(end={"records": records, "messages": messages.found, "lost": messages.lost})


async def _lines(records: Sequence[JournalRecord], messages: _Messages) -> list[str]:
    ended = [record for record in records if record.ends_turn]
    wanted = [
        (
            record.message_id,
            None
            if record.entries[-1].type is EntryType.TURN_FAILED
            else record.entries[-1].data.get("correlationId", record.message_id),
        )
        for record in ended
    ]
    sent = dict(zip((r.index for r in ended), await messages.lines(wanted), strict=True))
    lines = []
    for record in records:
        if record.index in sent:
            lines.append(sent[record.index])
        body = {
            "index": record.index,
            "messageId": record.message_id,
            "at": record.at_us,
            "entries": [_kept(entry.to_document()) for entry in record.entries],
        }
        lines.append(_line(record=body))
    return lines


def _kept(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without the stack of its error: long, and of no use away from its code."""
    error = entry.get("error")
    if not isinstance(error, dict):
        return entry
    return {**entry, "error": {key: value for key, value in error.items() if key != "stack"}}


class _Messages:
    """Reads the messages of one actor's history and counts those that are gone."""

    def __init__(self, actor_id: str, archive: Container, letters: Container) -> None:
        self._actor_id = actor_id
        self._archive = archive
        self._letters = letters
        self.found = self.lost = 0

    async def lines(self, wanted: Sequence[tuple[str, str | None]]) -> list[str]:
        """Return a line per message; each is named by its id and, if known, its run's."""
        given_up = await self._letters.read_many(
            [(message_id, self._actor_id) for message_id, run in wanted if run is None]
        )
        keys = []
        for message_id, run in wanted:
            letter = given_up.get((message_id, self._actor_id))
            keys.append(
                (message_id, run or (letter.body["correlationId"] if letter else message_id))
            )
        read = await self._archive.read_many(list(dict.fromkeys(keys)))
        lines = []
        for (message_id, run), key in zip(wanted, keys, strict=True):
            body = read[key].body if key in read else None
            if body is None and run is None:
                body = await self._of_unknown_run(message_id)
            if body is None:
                self.lost += 1
                lines.append(_line(lost=message_id))
            else:
                self.found += 1
                lines.append(_line(message=Message.from_document(body).to_document()))
        return lines

    async def _of_unknown_run(self, message_id: str) -> dict[str, Any] | None:
        # Only for turns that are under way, which are few: their journals do not name the run.
        page = await self._archive.query(Query((Where("id", "=", message_id),), limit=1))
        return page.documents[0].body if page.documents else None


def _line(**parts: Any) -> str:
    return msgspec.json.encode(parts).decode() + "\n"


def read_history(lines: Iterable[str]) -> Iterator[Part]:
    """Yield the parts of the histories in `lines`.

    Raises:
        BadHistory: a line is no part of a history, or the last history was cut.
    """
    actor_id: str | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            body = msgspec.json.decode(line)
            kind = next(iter(NAMED & body.keys()))
            if (actor_id is None) is not (kind == "history"):
                raise BadHistory(f"line {number}: {kind!r} is out of place")
            if kind == "history":
                if body["history"] != FORMAT:
                    raise BadHistory(
                        f"line {number}: format {body['history']!r}; this version reads {FORMAT}"
                    )
                actor_id = str(body["actor"])
                yield Opened(actor_id, int(body["version"]))
            else:
                yield _part(kind, body[kind], actor_id or "")
                if kind == "end":
                    actor_id = None
        except (
            *(msgspec.DecodeError, InvalidMessage, AttributeError, StopIteration),
            *(LookupError, TypeError, ValueError),
        ) as error:
            raise BadHistory(f"line {number} is no part of a history: {error!r:.200}") from None
    if actor_id is not None:
        raise BadHistory(f"the history of {actor_id} was cut: it has no end")


def _part(kind: str, body: Any, actor_id: str) -> Part:
    if kind == "record":
        return JournalRecord.from_document({**body, "actorId": actor_id})
    if kind == "message":
        return Message.from_document(body)
    if kind == "lost":
        return Lost(str(body))
    if kind == "gap":
        return Gap(int(body["until"]), body["state"])
    return Closed(int(body["records"]), int(body["messages"]), int(body["lost"]))


def fold_at(actor_id: str, gap: Gap) -> Fold:
    """Return the actor as it was at the end of a gap."""
    return Fold(ActorState(actor_id, gap.until, gap.state or {}))
