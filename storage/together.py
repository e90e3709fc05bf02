"""Writes that go together: in one transaction where the engine can, else each by itself.

Nothing may depend on more than the order that `in_turn` keeps: over two engines, or on one that
knows no transactions, a process may end between two of the writes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any, Generic, TypeVar

from storage.errors import StorageError

T = TypeVar("T")
U = TypeVar("U")


class Joinable(Generic[T]):
    """A write that awaits to be done: by itself, or in one transaction with others of its file.

    Each time it is awaited it is done again. Engines derive theirs from this; no abstract base
    class of Python's, whose `isinstance` costs more than all else here.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, T]:
        return self.start().__await__()

    def start(self) -> asyncio.Future[T]:
        """Have it done; a cancelled future changes nothing of that."""
        raise NotImplementedError

    def join(self, others: Sequence[Awaitable[Any]]) -> Joinable[list[Any]] | None:
        """Return all of these as one write, done in this order, of which an error undoes all.

        None when one of them cannot be part of the same transaction.
        """
        raise NotImplementedError

    def forgiving(self, *errors: type[StorageError]) -> Joinable[T | None]:
        """Return the same single write, for which these errors are a result of None."""
        raise NotImplementedError

    def map(self, function: Callable[[T], U]) -> Joinable[U]:
        """Return the same write, with what the function makes of its result when it is durable."""
        raise NotImplementedError


def joined(*writes: Awaitable[Any]) -> Joinable[list[Any]] | None:
    """Return writes as one transaction. None, with those after the first dropped, where that cannot
    be, or when there is but one."""
    together = _join(writes) if len(writes) > 1 else None
    if together is None:
        _drop(writes[1:])
    return together


def in_turn(*writes: Awaitable[Any]) -> Awaitable[list[Any]]:
    """Return writes as one: each is done when the one before has succeeded, or with it.

    Where they can be joined, all of them happen or none does.
    """
    return _join(writes) or _Apart(_one_by_one, writes)


def at_once(*writes: Awaitable[Any]) -> Awaitable[list[Any]]:
    """Return writes as one: joined where they can be, else none waits for another."""
    return _join(writes) or _Apart(_gathered, writes)


def forgiving(write: Awaitable[T], *errors: type[StorageError]) -> Awaitable[T | None]:
    """Return the same single write, for which these errors are a result of None."""
    if isinstance(write, Joinable):
        return write.forgiving(*errors)

    async def attempted(writes: Sequence[Awaitable[T]]) -> T | None:
        try:
            return await writes[0]
        except errors:
            return None

    return _Apart(attempted, (write,))


def mapped(write: Awaitable[T], function: Callable[[T], U]) -> Awaitable[U]:
    """Return the same write, with what the function makes of its result."""
    if isinstance(write, Joinable):
        return write.map(function)

    async def done(writes: Sequence[Awaitable[T]]) -> U:
        return function(await writes[0])

    return _Apart(done, (write,))


class _Apart(Awaitable[T]):
    """Writes that are no single one, and wait to be done."""

    def __init__(
        self,
        do: Callable[[Sequence[Awaitable[Any]]], Coroutine[Any, Any, T]],
        writes: Sequence[Awaitable[Any]],
    ) -> None:
        self._do = do
        self._writes = writes
        self._begun = False

    def __await__(self) -> Generator[Any, None, T]:
        self._begun = True
        return self._do(self._writes).__await__()

    def __del__(self) -> None:
        # As when what was to await it was cancelled before it came to that.
        if not self._begun:
            _drop(self._writes)


def _drop(writes: Iterable[Awaitable[Any]]) -> None:
    # Python complains of a coroutine that nobody awaits.
    for write in writes:
        if isinstance(write, Coroutine):
            write.close()


def _join(writes: Sequence[Awaitable[Any]]) -> Joinable[list[Any]] | None:
    first = writes[0]
    return first.join(writes[1:]) if isinstance(first, Joinable) else None


async def _one_by_one(writes: Sequence[Awaitable[Any]]) -> list[Any]:
    done = []
    left = deque(writes)
    try:
        while left:
            done.append(await left.popleft())
    finally:
        _drop(left)
    return done


async def _gathered(writes: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*writes))
