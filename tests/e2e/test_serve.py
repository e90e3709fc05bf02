"""`make run`'s command as a person meets it: first start, second start, Ctrl-C, and mistakes."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path

from loomweb.seed import RUNS
from tests.processes import address_of, run, serving, start


def page(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_the_first_start_fills_the_store_and_the_second_keeps_it(tmp_path: Path) -> None:
    process = start(tmp_path, "serve", LOOM_RUN_WORKERS="1", PORT="0")
    address = address_of(process)
    assert process.stdout is not None
    assert f"{len(RUNS)} sample runs were started" in process.stdout.readline()
    for _ in range(100):
        first = page(f"{address}traces/")
        if first.count("row-link") == len(RUNS) and first.count('class="status running"') == 1:
            break
    # Successes, a retry that succeeds, dead letters, a deep chain, a fan-out, one that waits.
    for word in ("completed", "recovered", "failed", "chain", "word-count", "loan-approval"):
        assert word in first
    assert page(f"{address}failures/").count("row-link") >= 3
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped" in rest
    assert "Traceback" not in rest

    with serving(tmp_path) as again:
        assert page(f"{again}traces/").count("row-link") == len(RUNS)


def test_a_taken_port_gets_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, "serve", PORT=port)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"port {port} is taken" in line
    assert "PORT=" in line


def test_an_unwritable_folder_gets_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    done = run(tmp_path / "file", "serve")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "cannot be written" in line
    assert "LOOM_DATA_DIR" in line


def test_a_wrong_setting_gets_one_clear_line(tmp_path: Path) -> None:
    for name, value in (("PORT", "many"), ("LOOM_TRACING", "perhaps"), ("LOOM_STORE", "mongo")):
        done = run(tmp_path, "serve", **{name: value})
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert name in line
        assert value in line


def test_a_store_that_is_not_there_is_said_when_starting(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "serve",
        PORT="0",
        LOOM_STORE="cosmos",
        COSMOS_ENDPOINT="http://127.0.0.1:9",
        COSMOS_KEY="a2V5",
    )
    assert done.returncode != 0
    assert "Cosmos DB" in done.stderr
    assert "Traceback" not in done.stderr


def test_preparing_the_store_may_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        done = run(tmp_path, "setup_storage")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Ready: trace-events")


PRODUCTION = {
    "HOST": "0.0.0.0",
    "LOOM_BEHIND_TLS": "1",
    "LOOM_ALLOWED_HOSTS": "loom.example",
}


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)


def test_the_settings_for_production_and_a_store_that_is_set_up_pass_the_check(
    tmp_path: Path,
) -> None:
    assert run(tmp_path, "setup_storage").returncode == 0
    done = checked(tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_check_says_how_the_store_differs_and_setting_it_up_mends_it(tmp_path: Path) -> None:
    before = checked(tmp_path)
    assert before.returncode != 0
    assert "trace-events: there is no such table" in before.stderr
    assert run(tmp_path, "setup_storage").returncode == 0
    with sqlite3.connect(tmp_path / "loom.db") as connection:
        (index,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'dead-letters'"
            " AND sql LIKE '%\"at:\"%' LIMIT 1"
        ).fetchone()
        connection.execute(f'DROP INDEX "{index}"')
    assert "dead-letters: 1 indexes are missing" in checked(tmp_path).stderr
    assert run(tmp_path, "setup_storage").returncode == 0
    assert checked(tmp_path).returncode == 0


def test_off_this_machine_a_login_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, HOST="0.0.0.0", LOOM_ALLOWED_HOSTS="127.0.0.1,0.0.0.0") as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        assert "Sign in" in page(f"{local}traces/")


def test_a_worker_process_is_on_the_system_page_while_it_lives(tmp_path: Path) -> None:
    def listed(address: str, wanted: bool) -> bool:
        for _ in range(100):
            found = f"· {worker.pid}</td>" in page(f"{address}system/")
            if found == wanted:
                return found
            time.sleep(0.1)
        return not wanted

    with serving(tmp_path, LOOM_RUN_WORKERS="0") as address:
        assert "No worker was heard from" in page(f"{address}system/")
        worker = start(tmp_path, "runworker")
        assert listed(address, True)
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)
        assert not listed(address, False)
