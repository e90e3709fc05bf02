"""What holds on every page: times, keys, the range that goes along, and lists that stand still."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.site import counted

pytestmark = pytest.mark.browser


@pytest.fixture
def in_tokyo(browser: Browser) -> Iterator[Watched]:
    """A page of somebody nine hours ahead of UTC."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo", locale="en"
    )
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.complaints == []


def hours(time: str) -> int:
    found = re.search(r"(\d\d):\d\d", time)
    assert found, time
    return int(found[1])


def test_one_switch_sets_the_zone_of_every_time_and_is_remembered(
    in_tokyo: Watched, site: str
) -> None:
    page = in_tokyo.page
    counted(page, site)
    expect(page.locator("[data-chart=times] .scatterlayer .trace")).to_have_count(3)
    switch = page.locator("[data-zone-toggle]")
    expect(switch).to_have_text("UTC")
    axis, chart = page.locator(".heat-x text").first, page.locator(".xtick text").first
    utc_axis, utc_chart = str(axis.text_content()), str(chart.text_content())
    switch.click()
    expect(switch).to_have_text("Local")
    expect(page.locator("[data-zone-name]")).to_have_text("UTC+09:00")
    assert (hours(str(axis.text_content())) - hours(utc_axis)) % 24 == 9
    expect(chart).not_to_have_text(utc_chart)
    page.goto(f"{site}/traces/")
    begun = page.locator("td time").first
    expect(begun).to_have_attribute("title", re.compile(r"\+09:00$"))
    expect(begun).to_have_text(re.compile(r"ago$"))
    page.locator("a.row-link").first.click()
    expect(page.locator("#trace-head time")).to_have_text(re.compile(r"\.\d{3} \+09:00$"))
    switch.click()
    expect(page.locator("#trace-head time")).to_have_text(re.compile(r"\.\d{3} UTC$"))


def test_keys_walk_a_list_and_open_its_row(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/traces/?status=failed")
    links = page.locator("a.row-link")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#id_actor")).to_be_focused()
    # A letter that is typed stays with the field.
    page.keyboard.type("j?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    # What was typed narrows the list.
    page.goto(f"{site}/traces/?status=failed")
    links.nth(1).focus()
    address = links.nth(1).get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{address}")


def test_the_time_range_goes_along_to_other_pages(watched: Watched, site: str) -> None:
    page = watched.page
    counted(page, site)
    page.get_by_role("link", name="24h").click()
    page.wait_for_load_state()
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page.get_by_label("Started")).to_have_value("24h")
    page.locator("a.row-link").first.click()
    page.wait_for_selector("#trace[data-ready]")
    page.get_by_role("link", name="Failures", exact=True).click()
    expect(page.get_by_label("Failed", exact=True)).to_have_value("24h")
    page.get_by_label("Failed", exact=True).select_option("")
    expect(page).not_to_have_url(re.compile("since=24h"))
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page.get_by_label("Started")).to_have_value("")


def test_dragging_over_points_narrows_the_list_to_them(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/traces/")
    dots = page.locator(".plot .dot")
    rows = page.locator("a.row-link")
    everything = rows.count()
    assert dots.count() == everything > 5
    box = page.locator("[data-brush]").bounding_box()
    failed = page.locator(".plot .dot.failed").first.bounding_box()
    assert box is not None
    assert failed is not None
    x, y = failed["x"] + failed["width"] / 2, failed["y"] + failed["height"] / 2
    page.mouse.move(x - 12, y - 12)
    page.mouse.down()
    page.mouse.move(x, y)
    page.mouse.move(x + 12, y + 12)
    expect(page.locator(".brushed")).to_be_visible()
    page.mouse.up()
    page.wait_for_url(re.compile(r"from=\d+&to=\d+&least=[^&]+&most=[^&]+$"))
    # The address changes before the rows do.
    expect(rows).not_to_have_count(everything)
    assert 1 <= rows.count() < everything
    expect(page.locator(".status.failed").first).to_be_visible()
    # A click opens the trace; what is no drag is none. The last point is drawn over all others.
    address = page.locator(".plot a").last.get_attribute("href")
    page.locator(".plot a .dot").last.click()
    page.wait_for_url(f"**{address}")


def run_a_chain(page: Page, site: str) -> None:
    page.goto(f"{site}/workflows/chain/")
    page.get_by_label("Depth").fill("2")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile("/traces/"))
    expect(page.locator(".trace-title .status")).to_have_text("completed", timeout=15_000)


def test_new_traces_wait_behind_a_pill_and_nothing_moves(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/traces/?status=completed")
    first = page.locator("a.row-link").first
    address = first.get_attribute("href")
    place = first.bounding_box()
    other = page.context.new_page()
    run_a_chain(other, site)
    other.close()
    pill = page.locator(".newer-pill")
    expect(pill).to_have_text("1 new", timeout=15_000)
    assert first.get_attribute("href") == address
    assert first.bounding_box() == place
    pill.click()
    expect(page).to_have_url(re.compile(r"/traces/\?status=completed$"))
    expect(first).not_to_have_attribute("href", str(address))
    expect(page.locator(".newer-pill")).to_have_count(0)
