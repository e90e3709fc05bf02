"""Failure groups and dead letters in a real browser, on a Loom whose letters may be resolved."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import AXE, Watched
from tests.cosmos_server import skip_or_fail
from tests.processes import serving

pytestmark = pytest.mark.browser

ORDERS = 3
"""Orders that failed alike: one of the samples, and those that the fixture runs."""


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def broken_site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Loom with dead letters of several kinds, some of them alike."""
    folder = Path(tmp_path_factory.mktemp("broken"))
    with serving(folder, LOOM_TRACE_FLUSH_SECONDS="0.05") as address:
        site = address.rstrip("/")
        page = browser.new_page()
        for _ in range(ORDERS - 1):
            page.goto(f"{site}/workflows/order/")
            page.locator("[name=order-restocked_after]").fill("20")
            page.locator("main form button").click()
            expect(page).to_have_url(re.compile("/traces/"))
        page.close()
        for _ in range(200):
            letters = read(f"{site}/dead-letters/")
            alike = read(f"{site}/failures/?error=OutOfStock").partition('id="results"')[2]
            if (
                "InvalidPayload" in letters
                and letters.count(">OutOfStock</a>") == ORDERS
                and alike.count("row-link") >= ORDERS
            ):
                break
            time.sleep(0.1)
        yield site


def open_group(page: Page, site: str, error: str) -> None:
    # From a dead letter: the list of groups is counted now and then, and is not awaited.
    page.goto(f"{site}/dead-letters/?state=any&error={error}")
    page.locator("table.letters a.row-link").first.click()
    page.get_by_role("link", name="Failures of this group").click()
    expect(page).to_have_url(re.compile(r"/failures/[0-9a-f]{16}/$"))
    expect(page.locator("#group[data-ready]")).to_be_attached()


def test_a_group_opens_on_its_latest_sample_and_keys_step_through_them(
    watched: Watched, broken_site: str
) -> None:
    page = watched.page
    open_group(page, broken_site, "OutOfStock")
    panel = page.locator("#panel")
    expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text("Error")
    expect(panel.locator(".error-text").first).to_be_in_viewport()
    expect(panel.get_by_role("region", name="Message")).to_be_in_viewport()
    actors = page.locator("#samples a.row-link").all_inner_texts()
    assert len(set(actors)) == ORDERS
    for key, actor in (("j", actors[1]), ("j", actors[2]), ("k", actors[1])):
        page.keyboard.press(key)
        expect(page.locator("#samples tr.selected")).to_contain_text(actor)
        expect(panel.locator(".panel-facts")).to_contain_text(actor)
    # The address is the sample's: it opens there again, and leads to its place in the trace.
    page.reload()
    expect(panel.locator(".panel-facts")).to_contain_text(actors[1])
    page.get_by_role("link", name="Open in its trace").click()
    expect(page).to_have_url(re.compile(r"/traces/[0-9a-f]{32}/\?span=[0-9a-f]{16}$"))
    expect(page.locator("#panel .panel-facts")).to_contain_text(actors[1])
    page.go_back()
    page.get_by_role("link", name="Compare with the last success").click()
    expect(page.locator(".divergence-words")).to_contain_text("OutOfStock")


def test_a_note_is_left_for_the_next_person(watched: Watched, broken_site: str) -> None:
    page = watched.page
    open_group(page, broken_site, "OutOfStock")
    page.get_by_text("Add a note").click()
    page.get_by_label("What the next person should know").fill("the supplier is on strike")
    page.get_by_role("button", name="Save the note").click()
    expect(page.locator("blockquote.note")).to_contain_text("the supplier is on strike")
    page.get_by_text("History").click()
    expect(page.locator(".history")).to_contain_text("noted “the supplier is on strike”")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_silent_fit_their_window_and_can_be_used_by_all(
    browser: Browser, broken_site: str, theme: str, width: int
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
    open_group(page, broken_site, "OutOfStock")
    group = page.url
    page.goto(f"{broken_site}/dead-letters/?error=OutOfStock")
    letter = page.locator("table.letters a.row-link").first.get_attribute("href")
    problems = []
    for address in (
        group,
        f"{broken_site}/dead-letters/",
        f"{broken_site}{letter}",
        f"{broken_site}{letter}?edit=1",
        f"{broken_site}/dead-letters/retry/",
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.evaluate("() => document.querySelectorAll('main details').forEach(d => d.open = true)")
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


def test_a_payload_is_mended_and_sent_once_however_often_one_clicks(
    watched: Watched, broken_site: str
) -> None:
    page = watched.page
    page.goto(f"{broken_site}/dead-letters/")
    page.locator("table.letters a.row-link", has_text="InvalidPayload").click()
    expect(page.locator("#panel .error-text").first).to_contain_text("$.grams")
    page.get_by_role("link", name="Edit and retry…").click()
    payload = page.get_by_label("Payload, a JSON object")
    mended = payload.input_value().replace('"heavy"', "750")
    payload.fill(mended)
    page.get_by_role("button", name="Send with this payload").dblclick()
    expect(page.locator(".resolution")).to_contain_text("Retried with another payload")
    sent = page.get_by_text("It was handled.")
    for _ in range(50):
        if sent.count():
            break
        page.wait_for_timeout(100)
        page.reload()
    expect(sent).to_be_visible()
    actor = page.locator(".facts .actor-id").first.inner_text()
    page.get_by_role("link", name="Open its trace").click()
    expect(page.locator("#panel .panel-facts")).to_contain_text(actor)
    # Five of six parcels were sorted before; a second retry would have counted one too many.
    page.goto(f"{broken_site}/actors/{actor}/")
    expect(page.locator("main")).to_contain_text(re.compile(r"sorted:?\s*6"))


def test_a_group_is_retried_while_one_looks(watched: Watched, broken_site: str) -> None:
    page = watched.page
    open_group(page, broken_site, "OutOfStock")
    page.locator(".its-letters a", has_text="unresolved").click()
    expect(page.locator("table.letters tbody tr")).to_have_count(ORDERS)
    page.get_by_role("link", name="Retry all of these…").click()
    page.get_by_role("button", name=f"Retry {ORDERS}").click()
    expect(page.locator("#progress")).to_contain_text(f"Done. {ORDERS} sent.")
    expect(page.locator("#outcomes tr")).to_have_count(ORDERS)
    page.get_by_role("link", name="See what became of them").click()
    failed = page.locator("table.letters tbody tr", has_text="retried, failed again")
    for _ in range(50):
        if failed.count() == ORDERS:
            break
        page.wait_for_timeout(100)
        page.reload()
    expect(failed).to_have_count(ORDERS)
