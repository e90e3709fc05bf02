"""An actor's page in a real browser: deciding with a click, mistakes in a payload, cancelling."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import AXE, Watched
from tests.cosmos_server import skip_or_fail

pytestmark = pytest.mark.browser


def apply(page: Page, site: str, applicant: str) -> None:
    """Apply for a loan, and go to the actor that waits for the decision."""
    page.goto(f"{site}/workflows/loan-approval/")
    before = page.locator(".waiting-runs a").all_inner_texts()
    page.get_by_label("Applicant").fill(applicant)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    for _ in range(50):
        page.goto(f"{site}/workflows/loan-approval/")
        new = [
            link
            for link in page.locator(".waiting-runs a").all()
            if link.inner_text() not in before
        ]
        if new:
            new[0].click()
            expect(page.locator(".json").first).to_contain_text(applicant)
            return
        page.wait_for_timeout(100)
    raise AssertionError("the application does not wait")


def test_a_resumed_actor_is_seen_to_go_on(watched: Watched, site: str) -> None:
    page = watched.page
    apply(page, site, "Sofja Kowalewskaja")
    state = page.locator(".page-head .status")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("main > .notice").first).to_contain_text("decision was sent")
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    # What was sent meanwhile is taken now, and the page looks again until it was.
    expect(state).to_have_text("idle", timeout=10_000)
    expect(page.locator(".turn")).to_contain_text("No turn waits")


def test_a_loan_is_approved_with_a_click_and_its_trace_completes(
    watched: Watched, site: str
) -> None:
    page = watched.page
    apply(page, site, "Emmy Noether")
    expect(page.locator(".turn")).to_contain_text("Waits for the event decision")
    page.get_by_role("button", name="Approve").click()
    # It looks again by itself once the event was taken.
    expect(page.locator(".turn")).to_contain_text("No turn waits", timeout=10_000)
    page.get_by_role("link", name="Its traces").click()
    page.wait_for_url("**/traces/?actor=*")
    run = page.locator("tbody tr", has_text="loan-approval")
    for _ in range(50):
        if run.filter(has_text="completed").count():
            break
        # Traces are written a moment after what they tell of.
        page.wait_for_timeout(100)
        page.reload()
    run.locator("a.row-link").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    expect(page.locator(".trace-title .status")).to_have_text("completed")
    expect(page.locator("#waterfall")).to_contain_text("pay_out")


def test_a_payload_with_a_mistake_is_kept_and_then_sent(watched: Watched, site: str) -> None:
    page = watched.page
    apply(page, site, "Sofja Kowalewskaja")
    page.get_by_text("Send another payload").click()
    page.get_by_label("Payload").fill('{"approved": false, "note": later}')
    page.get_by_role("button", name="Send decision").click()
    expect(page.get_by_role("alert")).to_contain_text("line 1, column 29")
    field = page.get_by_label("Payload")
    expect(field).to_have_value('{"approved": false, "note": later}')
    # The answer 422 is what the console complains about, and nothing else.
    assert all("422" in complaint for complaint in watched.complaints)
    watched.complaints.clear()
    field.fill('{"approved": false, "note": "later"}')
    page.get_by_role("button", name="Send decision").click()
    expect(page.locator(".turn")).to_contain_text("No turn waits", timeout=10_000)
    expect(page.locator(".json").first).to_contain_text("later")


def test_cancelling_takes_a_second_step_and_works_without_scripts(
    browser: Browser, watched: Watched, site: str
) -> None:
    apply(watched.page, site, "Maria Cunitz")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(watched.page.url)
    expect(page.get_by_label("Reason")).to_be_hidden()
    page.locator("summary", has_text="Cancel the turn").click()
    page.get_by_label("Reason").fill("found money elsewhere")
    page.get_by_role("button", name="Cancel the turn").click()
    for _ in range(50):
        if page.get_by_text("No turn waits").count():
            break
        page.wait_for_timeout(100)
        page.reload()
    expect(page.locator(".journal")).to_contain_text("cancelled")
    expect(page.locator(".json").first).to_contain_text("withdrawn")
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_silent_fits_its_window_and_can_be_used_by_all(
    browser: Browser, site: str, theme: str, width: int
) -> None:
    if not AXE.exists():
        skip_or_fail("axe-core is not installed: run `npm install`")
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=theme,  # type: ignore[arg-type]
        # axe is put into the page by the test, which the page's own policy forbids.
        bypass_csp=True,
    )
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(f"{site}/workflows/")
    waiting = page.locator(".waiting-runs a").first.get_attribute("href")
    problems = []
    for address in ("/workflows/", waiting, "/audit/actors/"):
        page.goto(f"{site}{address}")
        page.wait_for_load_state("networkidle")
        for summary in page.locator("main .turn summary, main .entry > summary").all():
            summary.click()
        overflow = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{address} is {overflow} px too wide at {width}"
        page.add_script_tag(content=AXE.read_text())
        found = page.evaluate("async () => (await axe.run()).violations")
        problems += [
            f"{address}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]
    context.close()
    assert problems == []
    assert watched.complaints == []
