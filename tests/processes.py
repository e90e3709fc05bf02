"""Loom's commands as child processes, for tests that stop, kill and look at them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from tests.cosmos_server import ROOT


def environment(folder: Path, **environ: str) -> dict[str, str]:
    """Return this process's environment without its settings, with those of a Loom in `folder`."""
    prefixes = ("LOOM_", "COSMOS_", "DJANGO_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(prefixes)}
    return {**kept, "LOOM_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1", **environ}


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a `manage.py` command to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder, **environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start(folder: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start a `manage.py` command."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(folder, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[str]:
    """Run `manage.py serve` on a free port; yields its address, stops it as Ctrl-C does."""
    process = start(folder, "serve", **{"LOOM_RUN_WORKERS": "1", "PORT": "0", **environ})
    try:
        yield address_of(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


class Visitor:
    """Looks at pages and posts their forms, as a browser without scripts does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(self, path: str) -> tuple[int, str]:
        """Return a page's status and text."""
        return self._open(f"{self.address}{path}")

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        """Post the form of a page; returns the status and text that this leads to."""
        _, page = self.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, page
        form = {"csrfmiddlewaretoken": token[1], **fields}
        return self._open(f"{self.address}{path}", urlencode(form).encode())

    def _open(self, address: str, body: bytes | None = None) -> tuple[int, str]:
        try:
            with self._opener.open(address, body, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def address_of(process: subprocess.Popen[str]) -> str:
    """Wait until a serving process says where it serves, and answers there."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Loom is at "):
            address = line.split()[3]
            break
    else:
        raise AssertionError(f"it ended before it served: {''.join(lines)}")
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{address}readyz", timeout=5) as answer:
                if answer.status == 200:
                    return address
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{address} does not become ready")
