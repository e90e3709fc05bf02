"""A served Loom whose sample runs have ended, for browsers."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.processes import serving

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def settled_site(folder: Path) -> Iterator[str]:
    """Serve a store in `folder`; yields its address once all runs but a waiting one have ended."""
    with serving(folder) as address:
        for _ in range(200):
            with urllib.request.urlopen(f"{address}traces/", timeout=10) as answer:
                page = answer.read().decode()
            if page.count("row-link") >= 15 and page.count('class="status running"') == 1:
                break
            time.sleep(0.1)
        yield address.rstrip("/")


def counted(page: Page, site: str) -> None:
    """Wait until Home shows the numbers of what ran: they are saved every few seconds."""
    for _ in range(40):
        page.goto(f"{site}/")
        if page.locator(".charts").count():
            return
        time.sleep(0.5)
    raise AssertionError("Home shows no numbers")
