"""The pages of actors in a real browser: from a turn that fails to its trace, and what is stuck."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import AXE, Watched
from tests.cosmos_server import skip_or_fail

pytestmark = pytest.mark.browser


def failing_order(page: Page, site: str) -> Locator:
    """Start an order that fails for about a quarter of a minute; return its row."""
    page.goto(f"{site}/workflows/order/")
    page.get_by_label("Restocked after").fill("19")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    row = page.locator(".failing tbody tr", has_text="Order/").filter(has=page.locator("time"))
    for _ in range(50):
        page.goto(f"{site}/actors/")
        if row.count():
            return row.first
        page.wait_for_timeout(100)
    raise AssertionError("no order is tried again")


def test_from_a_turn_that_is_tried_again_to_its_error_in_two_clicks(
    watched: Watched, site: str
) -> None:
    page = watched.page
    row = failing_order(page, site)
    expect(row.locator(".last-error code")).to_have_text("ActivityFailed")
    expect(row.locator(".next")).to_have_text(re.compile(r"in \d+ s|due now"))
    row.locator("a.row-link").click()
    expect(page.locator(".turn")).to_contain_text("ActivityFailed")
    page.get_by_role("link", name="Open it in its trace").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/\?span="))
    expect(page.locator(".panel")).to_contain_text("ActivityFailed")


def test_what_is_stuck_leads_to_its_actor_and_the_way_back_keeps_the_range(
    watched: Watched, site: str
) -> None:
    page = watched.page
    page.goto(f"{site}/")
    page.get_by_role("link", name="Actors", exact=True).click()
    page.get_by_role("link", name="24h").click()
    row = page.locator(".stuck tbody tr", has_text="LoanApproval/").first
    expect(row).to_contain_text("the event decision")
    # Counted down by a script, from a time that stands there without it.
    expect(row.locator(".until time")).to_have_text(re.compile(r"in 6 d 23 h"))
    row.locator("a.row-link").click()
    expect(page.locator(".status.suspended").first).to_be_visible()
    page.locator(".crumbs").get_by_role("link", name="LoanApproval").click()
    page.wait_for_url("**/actors/LoanApproval/?since=24h")
    page.get_by_role("link", name="Suspended").click()
    expect(page.locator(".instances tbody tr").first).to_contain_text(
        "waits for the event decision"
    )
    page.get_by_role("searchbox", name="Key begins with").fill("no such key")
    page.keyboard.press("Enter")
    page.wait_for_url("**status=suspended**key=no+such+key")
    expect(page.get_by_text("None whose key begins with")).to_be_visible()


def test_the_lists_are_complete_without_scripts(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/actors/")
    row = page.locator(".stuck tbody tr", has_text="LoanApproval/").first
    expect(row.locator(".until")).to_have_text(re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
    row.locator("a.row-link").click()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_silent_fit_their_window_and_can_be_used_by_all(
    browser: Browser, site: str, width: int
) -> None:
    if not AXE.exists():
        skip_or_fail("axe-core is not installed: run `npm install`")
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        # Colours are looked at when they have changed, not on the way.
        reduced_motion="reduce",
        # axe is put into the page by the test, which the page's own policy forbids.
        bypass_csp=True,
    )
    watched = Watched(context.new_page())
    page = watched.page
    actor = failing_order(page, site).locator("a.row-link").get_attribute("href")
    problems = []
    for address in (
        "/actors/",
        actor,
        "/actors/Order/?status=dead",
        "/actors/LoanApproval/",
    ):
        page.goto(f"{site}{address}")
        for summary in page.locator("main :is(.as-table, .turn > details) > summary").all():
            summary.click()
        overflow = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{address} is {overflow} px too wide at {width}"
        page.add_script_tag(content=AXE.read_text())
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            found = page.evaluate("async () => (await axe.run()).violations")
            problems += [
                f"{address} {theme}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
                for rule in found
                if rule["impact"] in ("serious", "critical")
            ]
    context.close()
    assert problems == []
    assert watched.complaints == []
