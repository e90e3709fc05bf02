"""A served Loom with its sample runs, and a real Chromium that reports every complaint."""

from __future__ import annotations

import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.cosmos_server import ROOT, skip_or_fail
from tests.processes import serving

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Loom whose sample runs have ended, but for the one that waits."""
    with serving(Path(tmp_path_factory.mktemp("site"))) as address:
        for _ in range(200):
            with urllib.request.urlopen(f"{address}traces/", timeout=10) as answer:
                page = answer.read().decode()
            if page.count("row-link") >= 15 and page.count('class="status running"') == 1:
                break
            time.sleep(0.1)
        yield address.rstrip("/")


# Per module: its event loop runs as long as it is open, and other tests run one of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        skip_or_fail("Chromium is not installed: `apt install chromium`, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


def counted(page: Page, site: str) -> None:
    """Wait until Home shows the numbers of what ran: they are saved every few seconds."""
    for _ in range(40):
        page.goto(f"{site}/")
        if page.locator(".charts").count():
            return
        time.sleep(0.5)
    raise AssertionError("Home shows no numbers")


class Watched:
    """A page, and what its console said."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on(
            "console",
            lambda message: (
                self.complaints.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page at 1440×900 that must stay silent."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.complaints == []
