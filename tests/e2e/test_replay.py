"""A log through the whole product: nothing lost, and the states are those of a plain recount."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from actors.samples.offers import LoanOffers
from loomweb import wiring
from loomweb.config import load_config
from loomweb.measure import what_is_left
from loomweb.replay import BadLog, Row, read_log, send_log
from tests.conftest import quick_settings
from tests.offer_log import HEADER, REAL_LOG, make_log, recount
from tests.processes import run
from tracing import Outcome, TraceFilter, TraceStatus


async def replayed(folder: Path, rows: list[Row]) -> tuple[dict[str, Any], Any, Any]:
    """Replay `rows` in a store of their own; returns states, what was sent and what is left."""
    loom = await wiring.open_loom(load_config(quick_settings(folder, LOOM_RUN_WORKERS="1")))
    try:
        sent = await send_log(loom, rows, lambda done: None)
        assert loom.writer is not None
        await loom.writer.flush()
        left = await what_is_left(loom, sent.actors, sent.traces)
        states = {
            application: dict((await loom.state_store.load(LoanOffers.address(application))).data)
            for application in {row.application for row in rows}
        }
        return states, sent, left
    finally:
        await wiring.close_loom()


# The real log is not ours to ship; where it lies beside the checkout, it is replayed too.
LOGS = ("made up", "real") if REAL_LOG.exists() else ("made up",)


@pytest.mark.parametrize("log", LOGS)
async def test_the_states_after_a_replay_are_those_of_a_plain_recount(
    tmp_path: Path, log: str
) -> None:
    if log == "real":
        rows = read_log(REAL_LOG, limit=6_000)
    else:
        make_log(tmp_path / "log.csv")
        rows = read_log(tmp_path / "log.csv")
    states, sent, left = await replayed(tmp_path / "data", rows)
    expected, broken = recount(rows)
    assert broken > 3
    assert {name: state for name, state in states.items() if state} == {
        name: state for name, state in expected.items() if state
    }
    assert len(sent.actors) == len(sent.traces) == left.economy.traces == len(states)
    handled = left.handled
    assert (handled.messages, handled.failed, handled.dead_lettered) == (len(rows), broken, broken)
    assert left.bytes_if_copied > 5 * left.economy.bytes
    assert 0 < left.economy.bytes / left.economy.events <= 200


async def test_a_second_replay_gets_actors_of_its_own(tmp_path: Path) -> None:
    make_log(tmp_path / "log.csv", applications=3, broken=0)
    rows = read_log(tmp_path / "log.csv")
    first = await replayed(tmp_path / "data", rows)
    second = await replayed(tmp_path / "data", rows)
    assert first[0] == second[0]
    assert not first[1].actors & second[1].actors
    assert second[2].handled.messages == len(rows)
    assert second[2].handled.failed == 0


async def test_failed_rows_are_found_with_their_reason_and_their_data(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        ",".join(HEADER)
        + "\n7,500,2012-01-01T00:00:00+00:00,O_SELECTED,2012-01-01T00:00:00+00:00,1"
        + "\n7,500,2012-01-01T00:00:00+00:00,O_ACCEPTED,2012-01-01T00:00:01+00:00,1\n"
    )
    config = load_config(quick_settings(tmp_path / "data", LOOM_RUN_WORKERS="1"))
    loom = await wiring.open_loom(config)
    try:
        await send_log(loom, read_log(tmp_path / "log.csv"), lambda done: None)
        assert loom.writer is not None
        await loom.writer.flush()
        (failure,) = (await loom.reader.find_failures()).failures
        assert (failure.actor, failure.error_type) == ("LoanOffers/7", "OfferLifeCycleBroken")
        (trace,) = (await loom.reader.find_traces(TraceFilter(status=TraceStatus.FAILED))).traces
        tree = await loom.reconstructor.reconstruct(trace.trace_id)
        assert tree is not None
        loaded = await loom.reconstructor.load([ref for s in tree.spans for ref in s.refs()])
        kinds = {ref.kind.value for ref, found in loaded.items() if found.outcome is Outcome.LOADED}
        assert kinds == {"message", "journal_entry", "actor_state", "document"}
        assert not [found for found in loaded.values() if found.outcome is not Outcome.LOADED]
    finally:
        await wiring.close_loom()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "lacks the column"),
        (b"a,b\n1,2\n", "lacks the column application_id"),
        (
            b"application_id,amount_requested,event,event_at,resource\n1,many,O_SENT,2012-01-01,\n",
            "row 1",
        ),
        (
            b"application_id,amount_requested,event,event_at,resource\n1,5,O_SENT,someday,\n",
            "row 1",
        ),
        (b"\xff\xfe\x00", "log"),
        (b"\x1f\x8bnot really gzip", "log"),
        (
            # Without the time: the name of a test is the same in every process.
            gzip.compress(b"application_id,amount_requested,event,event_at,resource\n", mtime=0)[
                :-9
            ],
            "log",
        ),
    ],
)
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(BadLog, match=complaint):
        read_log(tmp_path / "log")


KEYS = (
    "messages actors traces failed dead_lettered seconds messages_per_s events bytes_per_event"
    " bytes_per_trace bytes_if_copied"
)


def test_the_command_ends_with_its_figures_as_json(tmp_path: Path) -> None:
    make_log(tmp_path / "log.csv", applications=20)
    done = run(tmp_path / "data", "replay_log", str(tmp_path / "log.csv"), "--limit", "100")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert list(figures) == KEYS.split()
    rows = read_log(tmp_path / "log.csv", limit=100)
    expected, broken = recount(rows)
    assert (figures["messages"], figures["actors"]) == (100, len(expected))
    assert (figures["failed"], figures["dead_lettered"]) == (broken, broken)
    assert "100 of 100 messages" in done.stderr


def test_the_command_works_without_tracing_and_archive(tmp_path: Path) -> None:
    make_log(tmp_path / "log.csv", applications=5)
    done = run(
        tmp_path / "data",
        "replay_log",
        str(tmp_path / "log.csv"),
        LOOM_TRACING="0",
        LOOM_ARCHIVE="0",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["messages"], figures["events"]) == (35, 0)
    assert figures["bytes_per_event"] is None


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "data", "replay_log", str(tmp_path / "missing.csv"))
    assert done.returncode != 0
    assert "missing.csv" in done.stderr
    assert "Traceback" not in done.stderr
