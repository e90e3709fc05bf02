"""`Database`: one SQLite file with group commit.

Operations that arrive while a transaction is being written share the next one, so a thousand
concurrent callers cost tens of commits. One thread writes, a few read; results go back to an
event loop in one wake-up per batch.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from storage.errors import Unavailable

T = TypeVar("T")

BUSY_SECONDS = 10.0
"""How long a transaction waits for another process's before the store counts as unavailable."""
BUSY_POLL = 0.0005
"""How often it looks, in seconds. SQLite itself looks after 1, 2, 5, 10, 15 ms and more, and comes
too late whenever another process writes without a pause.
"""
MAX_BATCH = 512
_READERS = 2


@dataclass(slots=True)
class Job(Generic[T]):
    """A function to be run in a transaction, and the future of what `finish` makes of its result.

    `finish` is called in the event loop, when the transaction is durable.
    """

    function: Callable[[sqlite3.Connection], Any]
    finish: Callable[[Any], T] | None
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop
    atomic: bool
    result: Any = None
    error: BaseException | None = None


_STOP = object()


class Database:
    """A SQLite file in WAL mode.

    Args:
        file: created when it is missing.
        synchronous: "FULL" makes an acknowledged write survive power loss; with "NORMAL" it
            survives a killed process, not a power cut.
    """

    def __init__(
        self, file: Path | str, *, synchronous: Literal["FULL", "NORMAL"] = "FULL"
    ) -> None:
        self._file = str(file)
        self._synchronous = synchronous
        self._writes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        self._last: list[Job[Any]] = []
        self.sequence = 0
        """Last number given out by `next_number`; of the writer thread alone."""
        self._threads = [threading.Thread(target=self._write_loop, name="sqlite-writer")]
        self._threads += [
            threading.Thread(target=self._read_loop, name=f"sqlite-reader-{number}")
            for number in range(_READERS)
        ]
        # The file is made ready here, so that a wrong path fails where it was given.
        try:
            self._make_ready()
        except sqlite3.Error as error:
            raise Unavailable(f"{self._file} cannot be opened: {error}") from None
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    async def write(
        self, function: Callable[[sqlite3.Connection], T], *, atomic: bool = False
    ) -> T:
        """Run `function` in the writer's next transaction; return once that is durable.

        What it raises goes to this caller alone. A function of one statement is atomic by itself;
        one that may raise between two writes asks for `atomic`, and is then undone as a whole.
        It may be run twice, the first time without effect.

        Raises:
            Unavailable: the transaction could not be started or committed; nothing was written.
        """
        return await self.submit(function, atomic=atomic)

    def submit(
        self,
        function: Callable[[sqlite3.Connection], Any],
        *,
        finish: Callable[[Any], T] | None = None,
        atomic: bool = False,
    ) -> asyncio.Future[T]:
        """Have a function run as `write` does, at once; return its result, when it is durable."""
        return self._submit(self._writes, self.prepare(function, finish, atomic=atomic))

    def prepare(
        self,
        function: Callable[[sqlite3.Connection], Any],
        finish: Callable[[Any], T] | None = None,
        *,
        atomic: bool = False,
    ) -> Job[T]:
        """Return what `submit` would have done, to be done by `do_last`."""
        loop = asyncio.get_running_loop()
        return Job(function, finish, loop.create_future(), loop, atomic)

    def do_last(self, job: Job[Any]) -> None:
        """Do a prepared job in the transaction that is being written, after all else.

        Only within a `write` function; also when that is undone or run twice, it is done once.
        """
        self._last.append(job)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` on a reading connection, which sees every acknowledged write."""
        return await self._submit(self._reads, self.prepare(function))

    def next_number(self) -> int:
        """Return the next number of the file-wide sequence. Only within a `write` function.

        Numbers grow in order of commit, over all processes, and none is ever used twice.
        """
        self.sequence += 1
        return self.sequence

    async def close(self) -> None:
        """Finish what was submitted, then end the threads."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(_STOP)
        for _ in range(_READERS):
            self._reads.put(_STOP)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _submit(self, jobs: queue.SimpleQueue[Any], job: Job[T]) -> asyncio.Future[T]:
        if self._closed:
            raise Unavailable(f"{self._file} is closed")
        jobs.put(job)
        return job.future

    def _make_ready(self) -> None:
        connection = self._connect()
        # Changing the mode does not wait for others who do so: their file is new as well.
        _when_free(connection, "PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS loom_sequence (one INTEGER PRIMARY KEY, last INTEGER)"
        )
        connection.execute("INSERT OR IGNORE INTO loom_sequence VALUES (1, 0)")
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA cache_size = -16000")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def _read_loop(self) -> None:
        connection = self._connect()
        connection.execute("PRAGMA query_only = 1")
        while True:
            batch, stop = _take(self._reads, 16)
            for job in batch:
                _run(job, connection)
            _deliver(batch)
            if stop:
                connection.close()
                return

    def _write_loop(self) -> None:
        connection = self._connect()
        connection.execute("PRAGMA busy_timeout = 0")
        while True:
            batch, stop = _take(self._writes, MAX_BATCH)
            if batch:
                self._commit(connection, batch)
                _deliver(batch)
            if stop:
                connection.close()
                return

    def _commit(self, connection: sqlite3.Connection, batch: list[Job[Any]]) -> None:
        try:
            # A savepoint costs as much as a statement that writes, and is hardly ever needed.
            if not self._transact(connection, batch, _run):
                self._transact(connection, batch, _run_undoable)
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._take_last(batch)
            for job in batch:
                # Each caller gets an exception of its own: it will be raised there.
                job.error = Unavailable(f"the transaction failed: {error}")

    def _transact(
        self,
        connection: sqlite3.Connection,
        batch: list[Job[Any]],
        run: Callable[[Job[Any], sqlite3.Connection], bool],
    ) -> bool:
        """Run jobs in one transaction. False when one could not be undone: then none was done."""
        _when_free(connection, "BEGIN IMMEDIATE")
        (before,) = connection.execute("SELECT last FROM loom_sequence").fetchone()
        self.sequence = before
        at = 0
        while at < len(batch) or self._take_last(batch):
            done = run(batch[at], connection)
            if not connection.in_transaction:
                # A full disk, for one. What follows would be written statement by statement.
                raise sqlite3.OperationalError("it was rolled back")
            if not done:
                connection.execute("ROLLBACK")
                return False
            at += 1
        if self.sequence != before:
            connection.execute("UPDATE loom_sequence SET last = ?", (self.sequence,))
        connection.execute("COMMIT")
        return True

    def _take_last(self, batch: list[Job[Any]]) -> bool:
        """Add to a batch what is to be done at its end, if anything."""
        batch += self._last
        found = bool(self._last)
        self._last.clear()
        return found


def _take(jobs: queue.SimpleQueue[Any], most: int) -> tuple[list[Job[Any]], bool]:
    """Wait for one job, then take those that are there already. True when told to stop."""
    batch: list[Job[Any]] = []
    item = jobs.get()
    while item is not _STOP:
        batch.append(item)
        if len(batch) == most:
            return batch, False
        try:
            item = jobs.get_nowait()
        except queue.Empty:
            return batch, False
    return batch, True


def _when_free(connection: sqlite3.Connection, statement: str) -> None:
    """Execute a statement as soon as other processes let it."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            # The low byte; the others say what for, such as mending what a killed process left.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > give_up:
                raise
        time.sleep(BUSY_POLL)


def _run(job: Job[Any], connection: sqlite3.Connection) -> bool:
    """Run a job. False when it is atomic, and ended in an error."""
    job.error = None
    try:
        job.result = job.function(connection)
    except sqlite3.OperationalError as error:
        job.error = Unavailable(str(error))
    except BaseException as error:  # it is the caller's, and is raised there
        job.error = error
    return job.error is None or not job.atomic


def _run_undoable(job: Job[Any], connection: sqlite3.Connection) -> bool:
    """Run a job; undo it when it is atomic and ends in an error."""
    if job.atomic:
        connection.execute("SAVEPOINT job")
    if not _run(job, connection):
        connection.execute("ROLLBACK TO job")
    if job.atomic:
        connection.execute("RELEASE job")
    return True


def _deliver(batch: list[Job[Any]]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Job[Any]]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, jobs)
        except RuntimeError:  # the loop has closed: nobody waits any more
            continue


def _settle(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        elif job.finish is None:
            job.future.set_result(job.result)
        else:
            try:
                job.future.set_result(job.finish(job.result))
            except Exception as error:  # it is the caller's: others of the batch must not wait
                job.future.set_exception(error)
