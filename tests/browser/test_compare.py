"""The comparison of two traces in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import AXE, Watched
from tests.cosmos_server import skip_or_fail

pytestmark = pytest.mark.browser


def failed_order(page: Page, site: str) -> str:
    """Return the address of the trace of the order that failed."""
    page.goto(f"{site}/failures/?error=OutOfStock")
    found = page.locator("#results a.row-link", has_text="OutOfStock").first.get_attribute("href")
    assert found
    return site + found.partition("?")[0]


def test_from_a_failed_trace_to_what_differed_from_the_last_success(
    watched: Watched, site: str
) -> None:
    page = watched.page
    page.goto(f"{failed_order(page, site)}compare/")
    expect(page).to_have_url(re.compile(r"/traces/[0-9a-f]{32}/compare/[0-9a-f]{32}/$"))
    words = page.locator(".divergence-words")
    expect(words).to_contain_text("failed with OutOfStock in A; in B it completed")
    expect(words).to_be_in_viewport()
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Compare data").click()
    result = page.locator("#data-result")
    expect(result).to_contain_text("$.restocked_after")
    expect(result.locator("table").first).to_contain_text("slide rule")
    page.get_by_role("link", name="Data of reserve compared").click()
    expect(page.locator(".pair-result:not(:empty)")).to_contain_text("State before")
    page.get_by_role("link", name="Show its row").click()
    expect(page.locator("tr.first")).to_be_in_viewport()
    page.get_by_role("link", name="Swap sides").click()
    expect(words).to_contain_text("failed with OutOfStock in B; in A it completed")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_comparison_is_silent_fits_its_window_and_can_be_used_by_all(
    browser: Browser, site: str, theme: str, width: int
) -> None:
    if not AXE.exists():
        skip_or_fail("axe-core is not installed: run `npm install`")
    context = browser.new_context(
        viewport={"width": width, "height": 900 if width == 1440 else 844},
        color_scheme=theme,  # type: ignore[arg-type]
        # axe is put into the page by the test, which the page's own policy forbids.
        bypass_csp=True,
    )
    watched = Watched(context.new_page())
    page = watched.page
    failed = failed_order(page, site)
    problems = []
    page.goto(f"{failed}compare/")
    for address in (page.url, f"{page.url}data/", f"{failed}compare/?choose=1"):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if page.locator(".divergence").count():
            page.get_by_text("later divergences").click()
            page.get_by_role("link", name="Compare data").click()
            expect(page.locator("#data-result table").first).to_be_visible()
            page.get_by_role("link", name="Data of reserve compared").click()
            expect(page.locator(".pair-result:not(:empty)")).to_be_visible()
        overflow = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{address} is {overflow} px too wide at {width}"
        page.add_script_tag(content=AXE.read_text())
        found = page.evaluate("async () => (await axe.run()).violations")
        problems += [
            f"{address}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
            for rule in found
        ]
    context.close()
    assert problems == []
    assert watched.complaints == []


def test_the_comparison_and_its_data_can_be_read_without_scripts(
    browser: Browser, site: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{failed_order(page, site)}compare/")
    expect(page.locator(".divergence-words")).to_contain_text("failed with OutOfStock")
    page.get_by_role("link", name="Compare data").click()
    expect(page.locator(".data-result")).to_contain_text("$.restocked_after")
    page.get_by_role("link", name="Show all, ids and times too").click()
    expect(page.locator(".data-result")).to_contain_text("Ignore ids and times")
    page.get_by_role("link", name="Back to the comparison").click()
    expect(page.locator(".divergence-words")).to_be_visible()
    context.close()
