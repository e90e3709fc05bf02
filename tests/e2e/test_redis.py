"""A site and workers as processes of their own that share a Redis server and its misfortunes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from loomweb import wiring
from loomweb.config import load_config
from tests.cosmos_server import free_port
from tests.e2e.errands import STEPS
from tests.processes import Visitor, run, serving, start
from tests.redis_server import start_redis

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
SUSPENDED = 1
"""Of the sample runs that a site starts in an empty store, those that wait for a person."""


class Machines:
    """A Redis server and workers; what they share, and the settings that say so."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._redis_folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.environ = {
            "LOOM_REDIS_URL": self.url,
            "LOOM_ACTORS": "tests.e2e.errands",
            "LOOM_LEASE_SECONDS": "2",
            "LOOM_TRACE_FLUSH_SECONDS": "0.05",
            "LOOM_RUN_WORKERS": "0",
        }
        self.workers: list[subprocess.Popen[str]] = []
        self.start_redis()

    def start_redis(self) -> None:
        self.redis = start_redis(self._redis_folder, self._port, *DURABLE)

    def kill_redis(self) -> None:
        self.redis.kill()
        self.redis.wait()

    def start_worker(self) -> tuple[subprocess.Popen[str], str]:
        """Return a worker process that takes messages, and its id."""
        worker = start(self.data, "runworker", **self.environ)
        self.workers.append(worker)
        assert worker.stdout is not None
        line = worker.stdout.readline()
        assert " handles " in line, line
        return worker, line.split()[0]

    def held_by(self, owner: str) -> int:
        """Return how many actors a worker has locked."""
        with Redis.from_url(self.url, decode_responses=True) as redis:
            locks = [redis.get(key) for key in redis.scan_iter("{loom}:lock:*")]
        return sum(str(lock).endswith(owner) for lock in locks)

    async def open(self) -> wiring.Loom:
        """Open the same stores and queue in this process, to look at them."""
        return await wiring.open_loom(
            load_config({**self.environ, "LOOM_DATA_DIR": str(self.data)})
        )

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.communicate()
        self.kill_redis()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    made = Machines(tmp_path)
    yield made
    made.close()


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something that happens in other processes."""
    for _ in range(1_500):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError(f"it never came true: {what}")


async def test_runs_complete_on_two_workers_one_of_which_is_killed(machines: Machines) -> None:
    with serving(machines.data, **machines.environ) as address:
        visitor = Visitor(address)
        victim, name = machines.start_worker()
        _, other = machines.start_worker()
        # Beside the sample runs that the site has started.
        runs = 0

        def start_run() -> None:
            nonlocal runs
            status, _ = visitor.post("workflows/errand/", **{"errand-name": "somebody"})
            assert status == 200
            runs += 1

        # Every look comes with a run of its own: a worker that is looked at late finds work, too.
        def stopped_at_work() -> bool:
            start_run()
            victim.send_signal(signal.SIGSTOP)
            if machines.held_by(name):
                return True
            victim.send_signal(signal.SIGCONT)
            return False

        def other_at_work() -> bool:
            start_run()
            return machines.held_by(other) > 0

        for _ in range(20):
            start_run()
        until(stopped_at_work, "the victim is at work")
        until(other_at_work, "the other is at work")
        victim.kill()
        victim.wait()
        loom = await machines.open()
        try:
            for _ in range(600):
                depth = await loom.queue.depth()
                if (depth.ready, depth.leased, depth.delayed) == (0, 0, SUSPENDED):
                    break
                time.sleep(0.05)
            else:
                raise AssertionError(f"it never came to rest: {depth}")
            log = (await loom.state_store.load("ErrandLog/all")).data
            assert sorted(log.values()) == [1] * runs
            for key in log:
                state = (await loom.state_store.load(f"Errand/{key}")).data
                assert state == {"steps": list(range(STEPS))}
        finally:
            await wiring.close_loom()
        # What a killed process was about to tell of a run is lost with it; its trace is not.
        assert visitor.get("traces/?type=Errand")[1].count("row-link") == runs
        status, page = visitor.get("system/")
        assert (status, f"<dt>Server</dt><dd>{machines.url}</dd>" in page) == (200, True)


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_redis_that_is_down_stops_no_reader_and_work_goes_on_when_it_is_back(
    machines: Machines,
) -> None:
    with serving(machines.data, **machines.environ) as address:
        visitor = Visitor(address)
        worker, name = machines.start_worker()
        status, _ = visitor.post("workflows/errand/", **{"errand-name": "somebody"})
        assert status == 200
        until(lambda: machines.held_by(name) > 0, "it is at work")
        machines.kill_redis()

        _, traces = visitor.get("traces/")
        trace = re.search(r'href="/(traces/[0-9a-f]{32}/)"', traces)
        assert trace
        for path in ("", "traces/", trace[1], "failures/", "workflows/", "dead-letters/"):
            assert visitor.get(path)[0] == 200, path
        status, page = visitor.get("actors/")
        assert (status, "The queue does not answer" in page) == (503, True)
        status, page = visitor.get("system/")
        assert status == 200
        assert "does not answer</span>: nothing is handled" in page
        assert visitor.get("readyz")[0] == 503
        assert visitor.get("healthz")[0] == 200
        status, page = visitor.post("workflows/errand/", **{"errand-name": "another"})
        assert status == 503
        for told in ("The queue does not answer", "can be read as before", "Try again when"):
            assert told in page
        spent, since = cpu_seconds(worker), time.monotonic()
        time.sleep(3)
        assert cpu_seconds(worker) - spent < (time.monotonic() - since) / 3
        assert worker.poll() is None

        machines.start_redis()
        until(lambda: visitor.get("readyz")[0] == 200, "the site is ready again")
        assert visitor.post("workflows/errand/", **{"errand-name": "another"})[0] == 200
        until(
            lambda: visitor.get("traces/?type=Errand&status=completed")[1].count("row-link") == 2,
            "both errands are done",
        )
    worker.terminate()
    told, _ = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert told.count("the queue cannot be leased from") == 1
    assert told.count("the queue answers again") == 1


def test_a_start_without_what_it_needs_says_so_in_one_line(tmp_path: Path) -> None:
    gone = f"redis://:a-secret@127.0.0.1:{free_port()}/0"
    for command in (("serve",), ("runworker",), ("setup_storage",)):
        done = run(tmp_path, *command, LOOM_REDIS_URL=gone, PORT="0")
        assert done.returncode != 0
        assert "Redis does not answer" in done.stderr
        assert "unset it to have the queue in the embedded store" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert "a-secret" not in done.stderr + done.stdout
    (tmp_path / "redis.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'redis'\", name='redis')"
    )
    for command in (("serve",), ("runworker",), ("check",)):
        done = run(tmp_path, *command, LOOM_REDIS_URL=gone, PORT="0", PYTHONPATH=str(tmp_path))
        assert done.returncode != 0
        assert "pip install 'redis>=8,<9'" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:6379", "redis://", "redis://a-secret@host:x/0", "127.0.0.1:6379"),
        *("redis://127.0.0.1:6379/queue", "redis://127.0.0.1:99999", "redis://[::1/0"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    done = run(tmp_path, "check", LOOM_REDIS_URL=url)
    assert done.returncode != 0
    assert "LOOM_REDIS_URL is not the address of a Redis server" in done.stderr
    assert "a-secret" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_the_check_tells_of_messages_that_were_left_in_the_embedded_queue(
    machines: Machines,
) -> None:
    def told() -> str:
        return run(machines.data, "check", "--deploy", **machines.environ).stderr

    assert "loom.W005" not in told()
    loom = await wiring.open_loom(load_config({"LOOM_DATA_DIR": str(machines.data)}))
    try:
        assert "loom.W005" not in told()
        await loom.runtime.send("ChainLink/1", "reached", {"depth": 1})
    finally:
        await wiring.close_loom()
    assert "left in the embedded queue: 1." in told()


def test_the_check_says_what_a_redis_server_lacks(tmp_path: Path) -> None:
    port = free_port()
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    process = start_redis(tmp_path, port, *options)
    try:
        url = f"redis://127.0.0.1:{port}"
        done = run(tmp_path, "check", "--deploy", LOOM_REDIS_URL=url)
        assert done.returncode != 0
        for told in ("drops keys (allkeys-lru)", "keeps no append-only file"):
            assert told in done.stderr
        done = run(tmp_path, "setup_storage", LOOM_REDIS_URL=url)
        assert f"queue and locks (redis; server {url}/0, version" in done.stdout
        with Redis.from_url(url) as redis:
            redis.config_set("maxmemory-policy", "noeviction")
            redis.config_set("appendonly", "yes")
        done = run(tmp_path, "check", "--deploy", LOOM_REDIS_URL=url)
        assert done.returncode == 0, done.stderr
        assert "Redis" not in done.stderr
        with Redis.from_url(url) as redis:
            redis.replicaof("127.0.0.1", str(free_port()))  # type: ignore[no-untyped-call]
        assert "is a replica" in run(tmp_path, "check", "--deploy", LOOM_REDIS_URL=url).stderr
    finally:
        process.kill()
        process.wait()
    far = "redis://redis.invalid:6379/0"
    done = run(tmp_path, "check", "--deploy", LOOM_REDIS_URL=far)
    for told in ("can read along", "No password is sent", "cannot be asked"):
        assert told in done.stderr
