"""A served Loom with its sample runs, and a real Chromium that reports every complaint."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import ARGUMENTS, settled_site
from tests.cosmos_server import ROOT, skip_or_fail

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Loom whose sample runs have ended, but for the one that waits."""
    with settled_site(Path(tmp_path_factory.mktemp("site"))) as address:
        yield address


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


def address(page: Page) -> str:
    """The address that the page has now: `page.url` follows what a script sets a moment later."""
    now = page.evaluate("() => location.href")
    assert isinstance(now, str)
    return now


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
