"""Every page, in both themes and at both widths: silent, within its window, and usable by all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import AXE, Watched
from tests.browser.site import counted
from tests.cosmos_server import skip_or_fail
from tests.pages import PAGES, addresses

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def found(browser: Browser, site: str) -> Iterator[dict[str, str]]:
    """The address of every page. They are sought without scripts, so this proves them as well."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    counted(page, site)
    yield addresses(page, site)
    context.close()


def overflow(page: Page) -> int:
    script = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


SQUEEZED = """() => [...document.querySelectorAll('.list')].filter(table => table.offsetWidth)
  .flatMap(table => [
    ...[...table.querySelectorAll('caption')]
      .filter(caption => caption.offsetWidth < table.offsetWidth / 2)
      .map(caption => 'a narrow caption: ' + caption.textContent),
    ...[...table.querySelectorAll('td[data-label]')]
      .filter(cell => cell.offsetWidth && !cell.textContent.trim() && !cell.firstElementChild
        && getComputedStyle(cell, '::before').content !== 'none')
      .slice(0, 1).map(cell => 'a label without a value: ' + cell.dataset.label),
  ])"""
"""What of its tables is not as meant where a row is no line of cells any more."""


def problems_of(page: Page, name: str) -> list[str]:
    """Return where the page is wider than its window, and what axe finds that is serious."""
    found = [f"{name}: {problem}" for problem in page.evaluate(SQUEEZED)]
    if overflow(page) > 0:
        found.append(f"{name} is {overflow(page)} px too wide")
    violations = page.evaluate("async () => (await axe.run()).violations")
    return found + [
        f"{name}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
        for rule in violations
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_silent_fits_its_window_and_can_be_used_by_all(
    browser: Browser, site: str, found: dict[str, str], theme: str
) -> None:
    if not AXE.exists():
        skip_or_fail("axe-core is not installed: run `npm install`")
    context = browser.new_context(color_scheme=theme)  # type: ignore[arg-type]
    watched = Watched(context.new_page())
    page, axe, problems = watched.page, AXE.read_text(), []
    for shown in PAGES:
        page.set_viewport_size({"width": 1440, "height": 900})
        answer = page.goto(f"{site}{found[shown.name]}")
        assert answer is not None
        assert answer.status == shown.status, shown.name
        page.wait_for_load_state("networkidle")
        assert shown.says in page.locator("main").inner_text(), shown.name
        # What is folded away is seen, too.
        for summary in page.locator("main > :not(.guide) summary:visible").all()[:20]:
            summary.click()
        # The browser takes this from the test, past the page's policy, which stays in force.
        page.evaluate(axe)
        for width, height in ((1440, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            problems += problems_of(page, f"{shown.name} at {width}")
    context.close()
    assert problems == []
    # Chromium reports an answer of 404 as an error of the page that it is.
    expected = sum(shown.status != 200 for shown in PAGES)
    missing = [complaint for complaint in watched.complaints if "404 (Not Found)" in complaint]
    assert len(missing) == expected
    assert [complaint for complaint in watched.complaints if complaint not in missing] == []


def test_without_scripts_every_page_can_be_read(
    browser: Browser, site: str, found: dict[str, str]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for shown in PAGES:
        page.goto(f"{site}{found[shown.name]}")
        read = page.locator("main").inner_text()
        assert shown.says in read, shown.name
        assert page.locator("h1").count(), shown.name
        # Nothing would keep that promise.
        assert "Loading" not in read, shown.name
        assert "Measuring…" not in read, shown.name
    context.close()


def test_without_scripts_a_link_to_a_span_offers_its_details(
    browser: Browser, site: str, found: dict[str, str]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}{found['trace']}")
    assert page.locator("#panel").inner_text().strip() == "Open its details"
    page.get_by_role("link", name="Open its details").click()
    assert "slide rule is no longer made" in page.locator("main").inner_text()
    context.close()


@pytest.mark.parametrize("width", [390, 360, 720, 1024])
def test_every_page_can_be_reached_from_the_top_without_scrolling(
    browser: Browser, site: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844})
    page = context.new_page()
    page.goto(f"{site}/traces/")
    links = page.get_by_role("navigation", name="Main").get_by_role("link").all()
    assert len(links) == 7
    for link in links:
        box = link.bounding_box()
        assert box, link
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    context.close()
