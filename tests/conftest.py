"""What tests of several packages share: servers, a manual clock, and a whole Loom."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loomweb import wiring
from loomweb.config import load_config
from storage.sqlite import Database
from tests.cosmos_server import KEY, cosmos_server
from tests.redis_server import redis_server
from tracing import TraceWriter

# What it checks is told in full when it fails, as in a test.
pytest.register_assert_rewrite("tests.crash.story")


class ManualClock:
    """A clock that stands still until a test moves it. Seconds since the epoch."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Holds the number of jobs of every commit to an embedded file that wrote something."""
    found: list[int] = []
    commit = Database._commit

    def counted(self: Database, connection: sqlite3.Connection, batch: list[Any]) -> None:
        before = connection.total_changes
        commit(self, connection, batch)
        if connection.total_changes > before:
            found.append(len(batch))

    monkeypatch.setattr(Database, "_commit", counted)
    return found


@contextmanager
def registered_types_only() -> Iterator[None]:
    """Complain at the end of the block if a writer made in it was given an unregistered type."""
    writers: list[TraceWriter] = []
    make = TraceWriter.__init__

    def remember(writer: TraceWriter, *args: Any, **options: Any) -> None:
        make(writer, *args, **options)
        writers.append(writer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TraceWriter, "__init__", remember)
        yield
    invalid = sum(writer.stats().dropped.get("invalid", 0) for writer in writers)
    assert not invalid, f"{invalid} events are of a type that tracing.registry does not list"


@pytest.fixture(autouse=True)
def unregistered_types_fail(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail every test in which an event of an unregistered type is emitted."""
    if request.node.get_closest_marker("unregistered_types"):
        yield
    else:
        with registered_types_only():
            yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted with `record_property`: how many kills, and what they repeated."""
    counted: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            counted.update({name: int(str(count)) for name, count in report.user_properties})
    for name, count in counted.items():
        terminalreporter.write_line(f"{count} {name}")


@pytest.fixture(scope="session")
def cosmos_endpoint() -> Iterator[str]:
    """A Cosmos server process of this test run."""
    with cosmos_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server process of this test run."""
    with redis_server() as url:
        yield url


def quick_settings(folder: Path, **more: str) -> dict[str, str]:
    """Return an environment for a Loom whose traces appear at once, recorded in its process."""
    return {
        "LOOM_DATA_DIR": str(folder),
        "LOOM_TRACE_FLUSH_SECONDS": "0.05",
        "LOOM_TRACE_PROCESS": "0",
        **more,
    }


@pytest.fixture
async def loom(tmp_path: Path) -> AsyncIterator[wiring.Loom]:
    """A Loom with a worker, on the embedded engine."""
    opened = await wiring.open_loom(load_config(quick_settings(tmp_path, LOOM_RUN_WORKERS="1")))
    yield opened
    await wiring.close_loom()


def cosmos_settings(folder: Path, endpoint: str, database: str) -> dict[str, str]:
    """Return an environment for a Loom on the Cosmos server."""
    return quick_settings(
        folder,
        LOOM_STORE="cosmos",
        COSMOS_ENDPOINT=endpoint,
        COSMOS_KEY=KEY,
        COSMOS_DATABASE=database,
        LOOM_RUN_WORKERS="1",
    )
