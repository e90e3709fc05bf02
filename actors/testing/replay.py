"""`replay`: today's code against recorded histories, before it meets the turns under way."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.activity import ActivityExecutor
from actors.actor import Actor
from actors.errors import NonDeterministic
from actors.failure import describe
from actors.history import Closed, Gap, Lost, Opened, Part, fold_at, read_history
from actors.journal import EntryType, JournalEntry, JournalRecord
from actors.message import Message
from actors.state import ActorState, Fold
from actors.stores import InMemoryStateStore
from actors.testing.difference import outcome, said, short
from actors.turn import Turn


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where today's code leaves the path of a recorded turn.

    Attributes:
        expected, found: what the journal has there, and what the code does now; in words.
        where: the line of code, "file:line: code"; empty when no line can be named.
    """

    actor_id: str
    message_id: str
    message_type: str
    expected: str
    found: str
    where: str = ""

    def __str__(self) -> str:
        place = f"\n  at       {self.where}" if self.where else ""
        return (
            f"{self.actor_id}, {self.message_type} ({self.message_id})\n"
            f"  expected {self.expected}\n  found    {self.found}{place}"
        )


@dataclass(slots=True)
class Replay:
    """What replaying found.

    Attributes:
        turns: turns that were replayed, and `in_flight`, how many of them had not ended.
        mismatches: the first one of each turn that has any.
        changed: failed turns that end otherwise now; no harm to turns under way, so no mismatch.
        unchecked: turns that could not be replayed, and why.
    """

    turns: int = 0
    in_flight: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    changed: list[Mismatch] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"turns replayed: {self.turns} (in flight: {self.in_flight})"]
        parts += [f"not replayed: {len(self.unchecked)}"] if self.unchecked else []
        parts.append(f"mismatches: {len(self.mismatches)}")
        return "\n".join([", ".join(parts), *map(str, self.mismatches)])


def replay(history: Path | str | Iterable[str], *actor_types: type[Actor]) -> Replay:
    """Run every turn of recorded histories again, in memory, answered from its journal.

    A completed turn must take the same commands in the same order, with the same arguments and the
    same changes of state, and no more; one in flight or failed those that its journal has.
    Nothing outside is touched: no activity runs. `history` is a file, its text, or its lines.

    Raises:
        actors.history.BadHistory: it is none.
        OSError: the file cannot be read.
    """
    found = Replay()
    with asyncio.Runner() as runner, closing(_lines(history)) as lines:
        checks = _Checks({kind.type_name(): kind for kind in actor_types}, found)
        for part in read_history(lines):
            runner.run(checks.take(part))
    return found


def _lines(history: Path | str | Iterable[str]) -> Generator[str, None, None]:
    if isinstance(history, Path):
        with history.open(encoding="utf-8") as file:
            yield from file
    elif isinstance(history, str):
        yield from history.splitlines()
    else:
        yield from history


class _Checks:
    """Follows histories part by part, and replays each turn where it ends."""

    def __init__(self, types: Mapping[str, type[Actor]], found: Replay) -> None:
        self._types = types
        self._found = found
        self._fold = Fold(ActorState("", 0, {}))
        self._known = True
        self._messages: dict[str, Message] = {}
        self._lost: set[str] = set()

    async def take(self, part: Part) -> None:
        if isinstance(part, Opened):
            self._fold = Fold(ActorState(part.actor_id, 0, {}))
            self._known = True
            self._messages.clear()
            self._lost.clear()
        elif isinstance(part, Message):
            self._messages[part.message_id] = part
        elif isinstance(part, Lost):
            self._lost.add(part.message_id)
        elif isinstance(part, Gap):
            self._fold = fold_at(self._fold.actor_id, part)
            self._known = part.state is not None
        elif isinstance(part, Closed):
            for message_id, commands in list(self._fold.open_turns.items()):
                await self._check(message_id, commands, None)
        else:
            await self._record(part)

    async def _record(self, record: JournalRecord) -> None:
        if record.ends_turn:
            commands = [
                *self._fold.open_turns.get(record.message_id, ()),
                *record.entries[:-1],
            ]
            await self._check(record.message_id, commands, record.entries[-1])
            self._messages.pop(record.message_id, None)
            self._lost.discard(record.message_id)
        self._fold.apply(record)

    async def _check(
        self, message_id: str, commands: Sequence[JournalEntry], end: JournalEntry | None
    ) -> None:
        actor_id = self._fold.actor_id
        message = self._messages.get(message_id)
        kind = self._types.get(actor_id.partition("/")[0])
        why = None
        if message is None:
            gone = message_id in self._lost
            why = "its message has expired" if gone else "the history has no message of it"
        elif not self._known:
            why = "the state before it has expired"
        elif kind is None:
            why = "its actor type was not given"
        if why is not None or message is None or kind is None:
            self._found.unchecked.append(f"{actor_id}, turn of {message_id}: {why}")
            return
        self._found.turns += 1
        self._found.in_flight += end is None
        state = ActorState(actor_id, self._fold.version, self._fold.data)
        ran = await _run(kind, message, state, commands, end)
        mismatch = _compared(ran, end)
        if mismatch is None:
            return
        expected, found = mismatch
        made = Mismatch(
            actor_id, message_id, message.message_type, expected, found, _where(ran.error)
        )
        failed = end is not None and end.type is EntryType.TURN_FAILED
        harmless = failed and ran.left is None and not isinstance(ran.error, NonDeterministic)
        (self._found.changed if harmless else self._found.mismatches).append(made)


@dataclass(frozen=True, slots=True)
class _Ran:
    """How a replayed turn ended.

    Attributes:
        left: the first command of the journal that it did not come to.
        asked: the activity that it stopped at, because its journal does not have the outcome.
    """

    record: JournalRecord | None
    error: Exception | None
    left: JournalEntry | None
    asked: str | None


class _NoActivities(ActivityExecutor):
    """Runs nothing: a replay ends where an activity would begin."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.name: str | None = None

    async def run(self, activity: Any, *args: Any, **kwargs: Any) -> tuple[Any, int]:
        self.name = self.name or activity.name
        self.reached.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing ends this future")


async def _run(
    kind: type[Actor],
    message: Message,
    state: ActorState,
    commands: Sequence[JournalEntry],
    end: JournalEntry | None,
) -> _Ran:
    fold = Fold(state)
    history = list(commands)
    if end is not None and end.type is EntryType.TURN_COMPLETED:
        # Marks where the turn ended: see `CommandLog`.
        after = max((entry.data["seq"] for entry in commands), default=-1) + 1
        history.append(JournalEntry(end.type, {"seq": after}))
    if history:
        fold.open_turns[message.message_id] = history
    executor = _NoActivities()
    # At the beginning of time no timer is due that was not when the journal was written.
    store = InMemoryStateStore(clock_ns=_beginning)
    turn = Turn(fold, message, 1, store, executor, None, clock_ns=_beginning)
    running = asyncio.ensure_future(turn.run(kind))
    reached = asyncio.ensure_future(executor.reached.wait())
    await asyncio.wait({running, reached}, return_when=asyncio.FIRST_COMPLETED)
    # What runs beside the activity has taken its command by now.
    stopped = not running.done()
    for task in (running, reached):
        task.cancel()
    results = await asyncio.gather(running, reached, return_exceptions=True)
    executor.close()
    result = results[0]
    left = turn.log.left()
    if stopped:
        return _Ran(None, None, left, executor.name)
    if isinstance(result, Exception):
        return _Ran(None, result, left, None)
    if isinstance(result, BaseException):
        raise result
    return _Ran(result, None, left, None)


def _beginning() -> int:
    return 0


def _compared(ran: _Ran, end: JournalEntry | None) -> tuple[str, str] | None:
    """Return what was expected and what was found, in words; None when they are the same."""
    error = ran.error
    if isinstance(error, NonDeterministic):
        if error.expected is None:
            return "a handler that keeps to the rules", str(error)
        return said(error.expected, error.found)
    now = outcome(ran.record, error, ran.asked)
    if ran.left is not None:
        return said(ran.left.to_document(), None)[0], short(now)
    if end is None:
        return None
    if end.type is EntryType.TURN_FAILED:
        then = f"turn_failed ({end.data['error']['type']})"
    else:
        then = outcome(JournalRecord("", 0, "", 0, (end,)), None, None)
    return None if then == now else (short(then), short(now))


def _where(error: Exception | None) -> str:
    if error is None:
        return ""
    stack = describe(error, retryable=False, actor_type="", work="").stack
    own = next((frame for frame in reversed(stack) if frame.own), None)
    return "" if own is None else f"{own.file}:{own.line}: {own.code}"
