"""Opens what records traces: a process of its own, or this one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loomweb.config import Config, ConfigError, RecordingConfig
from loomweb.stores import open_store, trace_file
from storage import Usage
from storage.sqlite import Database
from tracing import StoreRecorder
from tracing.containers import TRACE_EVENTS
from tracing.otlp.decode import OtlpUnavailable
from tracing.otlp.export import ExportStats, OtlpExporter
from tracing.recorder_process import RecorderProcess
from tracing.recording import Recorder

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorder, what it tells of itself, and how to close what it stands on.

    Attributes:
        pid: the process that records; None while there is none.
    """

    recorder: Recorder[Any]
    usage: Callable[[], Usage]
    exported: Callable[[], ExportStats | None]
    pid: Callable[[], int | None]
    close: Callable[[], Awaitable[None]]


def recording_config(config: Config) -> RecordingConfig:
    """Return those settings that what records traces has to know."""
    return RecordingConfig(
        str(trace_file(config)),
        config.synchronous,
        config.cosmos,
        config.otlp_endpoint,
        config.trace_flush_seconds,
        config.trace_hold_seconds,
    )


def record_elsewhere(config: RecordingConfig) -> Recording:
    """Return what records in a process of its own, which has a store of its own."""
    if config.otlp_endpoint is not None:
        # Here, because there nobody would read what is missing.
        _exporter(config.otlp_endpoint).close()
    recorder = RecorderProcess(
        (sys.executable, "-m", "loomweb.recorder"),
        msgspec.json.encode(config),
        _ROOT,
        interval=config.flush_seconds / 2,
    )

    async def close() -> None:
        """Do nothing: the store is the process's, which has ended with its recorder."""

    return Recording(
        recorder,
        lambda: recorder.usage,
        lambda: recorder.exported,
        lambda: recorder.pid,
        close,
    )


async def record_here(
    config: RecordingConfig,
    database: Database,
    on_promotion: Callable[[str], None] | None = None,
) -> Recording:
    """Return what records in this process, into the store that the settings name.

    `on_promotion` is told each unsampled trace that is kept from now on.

    Raises:
        ConfigError: a package that it needs is not installed.
        storage.StorageError: the store does not answer.
    """
    exporter = None if config.otlp_endpoint is None else _exporter(config.otlp_endpoint)
    # The recorder waits for a throttling service by itself, all of it at once; requests that the
    # client repeats behind its back would go on meanwhile.
    store = open_store(config.cosmos, database, retries=0)

    async def close() -> None:
        if exporter is not None:
            await asyncio.to_thread(exporter.close)
        await store.close()

    try:
        container = await store.container(TRACE_EVENTS)
    except BaseException:
        await close()
        raise
    recorder = StoreRecorder(
        container,
        export=exporter,
        flush_interval=config.flush_seconds,
        hold_seconds=config.hold_seconds,
        on_promotion=on_promotion,
    )
    return Recording(
        recorder,
        container.usage,
        lambda: None if exporter is None else exporter.stats(),
        os.getpid,
        close,
    )


def _exporter(endpoint: str) -> OtlpExporter:
    try:
        return OtlpExporter(endpoint)
    except OtlpUnavailable as error:
        raise ConfigError(f"LOOM_OTLP_ENDPOINT is set, but {error}") from None
