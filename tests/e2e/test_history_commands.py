"""Exporting a history and replaying it, as somebody does at a prompt and a CI does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from actors.samples import WORKFLOWS
from actors.testing import ActorHarness
from loomweb import wiring
from loomweb.config import load_config
from tests.actors.golden import FOLDER
from tests.conftest import quick_settings
from tests.processes import run
from tests.web.conftest import settled


async def test_an_exported_history_replays_without_the_store_it_comes_from(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    loom = await wiring.open_loom(load_config(quick_settings(data, LOOM_RUN_WORKERS="1")))
    await loom.runtime.start(WORKFLOWS["order"], {"restocked_after": 0}, key="one")
    await settled(loom)
    await wiring.close_loom()
    exported = run(data, "export_history", "Order/one")
    assert (exported.returncode, exported.stderr) == (0, "")
    file = tmp_path / "order.jsonl"
    file.write_text(exported.stdout)
    replayed = run(tmp_path / "none", "replay_history", str(file))
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert replayed.stdout == f"{file}: turns replayed: 2 (in flight: 0), mismatches: 0\n"
    nothing = run(data, "export_history", "Order/two")
    assert (nothing.returncode, "nothing is journaled of Order/two" in nothing.stderr) == (1, True)
    assert "is not an actor key" in run(data, "export_history", "Order/").stderr


CLERK = """
from actors import Actor, activity, handler


@activity
async def stamp(letter: str) -> str:
    return letter.upper()


class Clerk(Actor):
    @handler
    async def file(self, payload: dict[str, str]) -> None:
        self.update_state(stamped=await self.call_activity(stamp, letter=payload["letter"]))
"""


def test_ci_is_failed_by_a_change_that_turns_under_way_cannot_follow(tmp_path: Path) -> None:
    then: dict[str, Any] = {}
    exec(CLERK, then)
    harness = ActorHarness(then["Clerk"])
    harness.send("Clerk/1", "file", {"letter": "a"})
    history = tmp_path / "clerk.jsonl"
    history.write_text(harness.history())
    settings = {"LOOM_ACTORS": "clerk", "PYTHONPATH": str(tmp_path)}

    def replayed(code: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "clerk.py").write_text(code)
        files = (str(history), str(FOLDER / "order.jsonl"))
        return run(tmp_path / "none", "replay_history", *files, **settings)

    assert replayed(CLERK).returncode == 0
    failed = replayed(CLERK.replace('letter=payload["letter"]', 'letter="b"'))
    assert failed.returncode == 1
    assert "expected activity_scheduled (stamp), args" in failed.stdout
    assert "clerk.py:13: self.update_state(stamped=await self.call_activity(" in failed.stdout
    assert failed.stdout.endswith("order.jsonl: turns replayed: 3 (in flight: 0), mismatches: 0\n")
    assert "Turns that leave their recorded path: 1." in failed.stderr


def test_a_file_that_was_cut_is_told(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join((FOLDER / "order.jsonl").read_text().splitlines(True)[:3]))
    told = run(tmp_path / "none", "replay_history", str(cut))
    assert (told.returncode, "was cut" in told.stderr) == (1, True)
