"""A whole Loom whose traces are recorded by a process of its own, as they are by default."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from django.test import AsyncClient

from actors.samples import WORKFLOWS
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from storage.sqlite import Database, SqliteStore
from tests.conftest import quick_settings
from tests.web.conftest import settled
from tracing import TraceReader
from tracing.containers import TRACE_EVENTS


def environment(folder: Path) -> dict[str, str]:
    return quick_settings(folder, LOOM_RUN_WORKERS="1", LOOM_TRACE_PROCESS="1")


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[Loom]:
    yield await wiring.open_loom(load_config(environment(tmp_path)))
    await wiring.close_loom()


async def test_a_run_is_traced_and_the_system_page_names_who_records(
    apart: Loom, transactional_db: None
) -> None:
    await apart.runtime.start(WORKFLOWS["order"], {"quantity": 1, "restocked_after": 0})
    assert apart.writer is not None
    await settled(apart)
    await apart.writer.flush()
    (summary,) = (await apart.reader.find_traces()).traces
    trace = await apart.reader.get_trace(summary.trace_id)
    assert trace is not None
    stats = apart.writer.stats()
    assert stats.events_written == len(trace.events) == summary.events > 20
    report = await apart.system()
    assert report.recorder_pid not in (None, os.getpid())
    page = (await AsyncClient().get("/system/")).content.decode()
    assert f"process {report.recorder_pid}" in page
    assert "trace-events (recorder)" in page


async def test_traces_have_a_file_of_their_own(apart: Loom, tmp_path: Path) -> None:
    assert (tmp_path / "traces.db").exists()
    assert apart.config.database_file == tmp_path / "loom.db"


async def test_a_folder_from_before_that_keeps_its_traces_where_they_are(tmp_path: Path) -> None:
    old = SqliteStore(database := Database(tmp_path / "loom.db"))
    await old.container(TRACE_EVENTS)
    await old.close()
    await database.close()
    for _ in range(2):
        loom = await wiring.open_loom(load_config(environment(tmp_path)))
        await loom.runtime.start(WORKFLOWS["order"], {"quantity": 1, "restocked_after": 0})
        await settled(loom)
        await wiring.close_loom()
    assert not (tmp_path / "traces.db").exists()
    kept = SqliteStore(database := Database(tmp_path / "loom.db"))
    found = await TraceReader(await kept.container(TRACE_EVENTS)).find_traces()
    assert len(found.traces) == 2
    await kept.close()
    await database.close()
