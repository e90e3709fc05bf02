"""The measure of it all: from an alert's link to what failed, on one screen, without scrolling."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import AXE, Watched
from tests.cosmos_server import skip_or_fail
from tests.hostile_actors import IMAGE, SCRIPT
from tests.processes import serving

pytestmark = pytest.mark.browser

WHOLLY_IN_SIGHT = """
(element) => {
  const box = element.getBoundingClientRect();
  const panel = document.getElementById("panel").getBoundingClientRect();
  const inside = box.top >= panel.top && box.left >= panel.left
    && box.bottom <= Math.min(panel.bottom, innerHeight) && box.right <= innerWidth;
  const x = box.left + Math.min(box.width / 2, 60), y = box.top + Math.min(box.height / 2, 9);
  const there = document.elementFromPoint(x, y);
  return inside && box.height > 8 && (element.contains(there) || there?.contains(element));
}
"""


def in_sight(shown: Locator) -> bool:
    return bool(shown.first.evaluate(WHOLLY_IN_SIGHT))


@pytest.fixture(scope="module")
def nasty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Loom that also runs hostile actors."""
    folder = Path(tmp_path_factory.mktemp("nasty"))
    settings = {"LOOM_ACTORS": "tests.hostile_actors", "LOOM_TRACE_FLUSH_SECONDS": "0.05"}
    with serving(folder, **settings) as address:
        yield address.rstrip("/")


def alert_link(site: str, error: str) -> str:
    """Return the link to a failure, as an alert has it: nobody clicks for it."""
    with urllib.request.urlopen(f"{site}/failures/?error={error}", timeout=10) as answer:
        page = answer.read().decode().partition('id="results"')[2]
    link = re.search(r'href="(/traces/[0-9a-f]{32}/\?span=[0-9a-f]{16})"', page)
    assert link, error
    return f"{site}{link.group(1)}"


def check_everything_is_in_sight(page: Page) -> None:
    """Check that error, stack, payload and state before and after can be read as they are."""
    panel = page.locator("#panel")
    expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text("Error")
    message = panel.get_by_role("region", name="Message")
    state = panel.get_by_role("region", name="State")
    for part in (
        panel.locator(".error-card h3"),
        panel.locator(".error-text"),
        panel.locator(".stack li").first,
        message.locator("h3"),
        message.locator(".box"),
        state.locator("h3"),
        state.locator(".box"),
        state.locator(".after"),
    ):
        assert in_sight(part), part
    expect(state.locator("h3")).to_contain_text("before, version")
    expect(state.locator(".after")).to_contain_text("unchanged: the turn failed")
    scrolled = page.evaluate(
        "() => [scrollY, document.getElementById('panel').scrollTop,"
        " document.documentElement.scrollHeight - innerHeight]"
    )
    assert scrolled[:2] == [0, 0]
    assert scrolled[2] <= 0


@pytest.mark.parametrize(
    ("error", "said", "payload", "state"),
    [
        ("OutOfStock", "slide rule is no longer made", "restocked_after", '"placed"'),
        ("LoanRejected", "more than ten times the income", "income", "no state yet"),
        ("BrokenLink", "level 4 was asked to fail", "fail_at", "no state yet"),
    ],
)
def test_from_the_alert_everything_is_in_sight_without_a_click(
    watched: Watched, site: str, error: str, said: str, payload: str, state: str
) -> None:
    page = watched.page
    page.goto(alert_link(site, error))
    expect(page.locator("#panel .error-text")).to_contain_text(said)
    check_everything_is_in_sight(page)
    expect(page.get_by_role("region", name="Message").locator(".box")).to_contain_text(payload)
    expect(page.get_by_role("region", name="State").locator(".box")).to_contain_text(state)
    expect(page.locator("#waterfall tr.selected")).to_be_in_viewport()


def test_a_failed_activity_and_a_failed_run_show_the_same(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(alert_link(site, "OutOfStock"))
    page.locator("#panel .cause a").click()
    expect(page.locator("#panel .panel-title")).to_contain_text("look_at_shelf")
    check_everything_is_in_sight(page)
    page.goto(alert_link(site, "LoanRejected"))
    run = page.locator("#waterfall tbody tr", has_text="loan-application").first
    run.locator(".w-link").click()
    expect(page.locator("#panel .panel-facts")).to_contain_text("workflow")
    check_everything_is_in_sight(page)


def test_however_large_it_is_everything_is_in_sight(watched: Watched, nasty_site: str) -> None:
    page = watched.page
    run_to_failure(page, nasty_site, "buried", "choke")
    check_everything_is_in_sight(page)
    box = page.get_by_role("region", name="Message").locator(".box")
    assert box.evaluate("(box) => box.scrollHeight > box.clientHeight")
    # More of the stack is one click away, and pushes nothing off the screen.
    page.locator(".error-card summary").first.click()
    check_everything_is_in_sight(page)


def run_to_failure(page: Page, site: str, workflow: str, name: str) -> None:
    """Run a workflow and select the span that fails."""
    page.goto(f"{site}/workflows/{workflow}/")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    row = page.locator("#waterfall tbody tr.failed", has_text=name).first
    expect(row).to_be_visible(timeout=20_000)
    page.goto(f"{page.url.partition('?')[0]}?span={row.get_attribute('data-span')}")
    expect(page.locator("#panel .error-text")).to_be_visible()
    page.wait_for_load_state("networkidle")


def test_nothing_nasty_becomes_part_of_the_page(watched: Watched, nasty_site: str) -> None:
    page = watched.page
    opened: list[str] = []
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    run_to_failure(page, nasty_site, "hostile", "choke")
    trace = page.url.partition("?")[0]
    spans = page.locator("#waterfall tbody tr").evaluate_all(
        "(rows) => rows.map((row) => row.dataset.span).filter(Boolean)"
    )
    assert len(spans) >= 7
    panel = page.locator("#panel")
    for span in spans:
        page.goto(f"{trace}?span={span}")
        expect(panel.locator("[role=tab]").first).to_be_visible()
        for tab in panel.locator("[role=tab]").all_inner_texts():
            with page.expect_response(re.compile(r"/spans/\w+/\?tab=")):
                panel.get_by_role("tab", name=tab, exact=True).click()
            expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text(tab)
            check_nothing_was_injected(page)
        # Each that is asked for becomes a link, so the next one is the first that is left.
        for _ in range(min(2, panel.locator(".chip.ask").count())):
            with page.expect_response(re.compile("/refs/")):
                panel.locator(".chip.ask").first.click()
        for detail in panel.locator("summary").all()[:3]:
            detail.hover()
        check_nothing_was_injected(page)
    own = trace.partition(nasty_site)[2]
    actor = panel.locator("a.actor-id").first.get_attribute("href")
    for address in (
        *("/", "/traces/", "/failures/", f"/traces/?error={quote(SCRIPT)}", f"/?q={quote(IMAGE)}"),
        *(f"{own}statistics/", f"{own}events/", f"{own}compare/{own.split('/')[2]}/?rows=all"),
        *(actor, "/workflows/hostile/", "/audit/"),
    ):
        page.goto(f"{nasty_site}{address}")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("() => [window.loomBroken, {}.polluted]") == [None, None]
        assert page.locator("main :is(img, u, iframe, [onclick])").count() == 0, address
    assert opened == []
    # The id that nothing has is answered with 404, which Chromium reports.
    watched.complaints = [said for said in watched.complaints if "404 (Not Found)" not in said]


def check_nothing_was_injected(page: Page) -> None:
    found = page.evaluate(
        """() => [
          window.loomBroken,
          document.querySelectorAll("#panel :is(img, script, style, u, h1, b[onclick])").length,
          [...document.querySelectorAll("*")].filter((element) =>
            [...element.attributes].some(({ name }) => /^on|^style$/.test(name))
            && !element.closest(".trace-main")).length,
          {}.polluted,
        ]"""
    )
    assert found == [None, 0, 0, None]


def test_a_path_leads_to_the_turn_that_changed_it(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(alert_link(site, "OutOfStock"))
    panel = page.locator("#panel")
    panel.get_by_role("tab", name="State").click()
    line = panel.locator(".jl", has_text="status")
    line.hover()
    line.get_by_role("link", name="last change").click()
    answer = panel.locator(".who-answer:not(:empty)")
    expect(answer).to_contain_text("last changed by place")
    expect(answer).to_be_in_viewport()
    answer.get_by_role("link", name="place").click()
    expect(panel.locator(".panel-title")).to_contain_text("place")
    expect(page.locator("#waterfall tr.selected")).to_contain_text("place")
    # Any other path can be typed.
    page.go_back()
    page.goto(alert_link(site, "OutOfStock"))
    panel.get_by_role("tab", name="State").click()
    panel.get_by_label("Which message last changed").fill("quantity")
    panel.get_by_role("button", name="Find it").click()
    expect(panel.locator(".who-answer:not(:empty)")).to_contain_text("last changed by place")


def test_a_chip_says_that_it_loads_and_what_came_of_it(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(alert_link(site, "OutOfStock"))
    panel = page.locator("#panel")
    panel.get_by_role("tab", name="Raw").click()
    chip = panel.locator(".chip.ask").first
    before = chip.evaluate("(chip) => getComputedStyle(chip).borderColor")
    page.route(
        re.compile(r"/refs/0/"), lambda route: (page.wait_for_timeout(150), route.continue_())
    )
    chip.click()
    expect(panel.locator(".chip.ask.htmx-request")).to_have_count(1)
    expect(panel.locator(".chip.loaded")).to_have_count(1)
    expect(panel.locator(".ref-loaded .json")).to_contain_text("messageId")
    assert (
        panel.locator(".chip.loaded").evaluate("(chip) => getComputedStyle(chip).borderColor")
        != before
    )
    panel.locator(".ref-loaded > summary").click()
    expect(panel.locator(".ref-loaded .json")).to_be_hidden()


def test_the_tab_is_in_the_address(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(alert_link(site, "OutOfStock"))
    panel = page.locator("#panel")
    panel.get_by_role("tab", name="Journal").click()
    expect(panel.locator(".entry").first).to_be_visible()
    page.reload()
    expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text("Journal")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_tab_fits_and_can_be_used_by_all(
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
    problems = []
    page.goto(alert_link(site, "OutOfStock"))
    page.wait_for_load_state("networkidle")
    page.add_script_tag(content=AXE.read_text())
    panel = page.locator("#panel")
    for tab in panel.locator("[role=tab]").all_inner_texts():
        panel.get_by_role("tab", name=tab, exact=True).click()
        expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text(tab)
        # Each that is asked for becomes a link, so the next one is the first that is left.
        for _ in range(min(2, panel.locator(".chip.ask").count())):
            with page.expect_response(re.compile("/refs/")):
                panel.locator(".chip.ask").first.click()
        page.wait_for_load_state("networkidle")
        wide = panel.evaluate("(panel) => panel.scrollWidth - panel.clientWidth")
        assert wide <= 0, f"{tab} is {wide} px too wide at {width}"
        found = page.evaluate("async () => (await axe.run('#panel')).violations")
        problems += [
            f"{tab}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]
    context.close()
    assert problems == []
    assert watched.complaints == []
