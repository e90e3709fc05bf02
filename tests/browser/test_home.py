"""Home in a real browser: its charts, what they lead to, and the groups above the failures."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched
from tests.browser.site import counted

pytestmark = pytest.mark.browser


def open_home(page: Page, site: str, query: str = "") -> None:
    """Open Home once what ran has been counted, and wait for its charts."""
    counted(page, site)
    if query:
        page.goto(f"{site}/{query}")
    expect(page.locator("[data-chart=times] .scatterlayer .trace")).to_have_count(3)


def handled(page: Page) -> int:
    """Return how many messages the page says were handled."""
    found = re.search(r"([\d,]+) handled", page.locator(".strip .tile").first.inner_text())
    assert found
    return int(found.group(1).replace(",", ""))


def test_the_charts_are_drawn_from_the_numbers_of_the_page(watched: Watched, site: str) -> None:
    page = watched.page
    open_home(page, site)
    assert handled(page) > 100
    bars = page.locator("[data-chart=messages] .barlayer .trace")
    expect(bars).to_have_count(2)
    heights = page.locator("[data-chart=messages] .barlayer .point path").evaluate_all(
        "(bars) => bars.filter((bar) => bar.getBBox().height > 1).length"
    )
    assert heights >= 1
    cells = page.locator("[data-heat] path").evaluate_all(
        "(paths) => paths.reduce((n, path) => n + path.getBBox().width * path.getBBox().height, 0)"
    )
    assert cells > 0
    page.get_by_text("Every number as a table").click()
    table = page.locator(".charts ~ .as-table tbody").first
    numbers = table.locator("td[data-label=Handled]").all_inner_texts()
    assert sum(int(number.replace(",", "")) for number in numbers) == handled(page)


@pytest.mark.parametrize("chart", ["[data-chart=messages] .draglayer .nsewdrag", "[data-heat]"])
def test_a_click_into_a_chart_opens_the_traces_of_that_time(
    watched: Watched, site: str, chart: str
) -> None:
    page = watched.page
    open_home(page, site)
    data = page.evaluate("() => JSON.parse(document.getElementById('home-data').textContent)")
    busiest = max(range(len(data["handled"])), key=lambda at: data["handled"][at])
    box = page.locator(chart).bounding_box()
    assert box is not None
    x = box["x"] + box["width"] * (busiest + 0.5) / len(data["handled"])
    page.mouse.move(x, box["y"] + box["height"] * 0.6)
    if "heat" in chart:
        begins = (data["from"] + busiest * data["slot"]) / 1_000
        label = datetime.fromtimestamp(begins, UTC).strftime("%H:%M")
        expect(page.locator("[data-readout]")).to_contain_text(label)
    else:
        expect(page.locator("[data-chart=messages] .hoverlayer .legend")).to_contain_text(
            f"{data['handled'][busiest]} handled"
        )
    page.mouse.click(x, box["y"] + box["height"] * 0.6)
    page.wait_for_url(f"**/traces/?{data['queries'][busiest]}")


@pytest.mark.parametrize("chart", ["[data-chart=times] .draglayer .nsewdrag", "[data-heat]"])
def test_dragging_over_a_chart_opens_the_traces_of_that_range(
    watched: Watched, site: str, chart: str
) -> None:
    page = watched.page
    open_home(page, site)
    data = page.evaluate("() => JSON.parse(document.getElementById('home-data').textContent)")
    box = page.locator(chart).bounding_box()
    assert box is not None
    width, middle = box["width"] / len(data["queries"]), box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 10.5 * width, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 15 * width, middle)
    page.mouse.move(box["x"] + 20.5 * width, middle)
    expect(page.locator(".brushed")).to_be_visible()
    page.mouse.up()
    start, end = (data["from"] + slot * data["slot"] for slot in (10, 21))
    page.wait_for_url(f"**/traces/?from={start}&to={end}")


def test_from_home_to_the_error_in_one_click(watched: Watched, site: str) -> None:
    page = watched.page
    open_home(page, site)
    page.locator(".groups a.row-link", has_text="OutOfStock").click()
    expect(page.locator("#panel .error-text")).to_contain_text("slide rule is no longer made")


def test_a_range_is_chosen_by_its_link(watched: Watched, site: str) -> None:
    page = watched.page
    open_home(page, site)
    page.get_by_role("link", name="7d").click()
    expect(page).to_have_url(re.compile(r"since=7d"))
    expect(page.locator(".segments [aria-current]")).to_have_text("7d")
    expect(page.locator("[data-chart=messages] .barlayer .trace")).to_have_count(2)


def test_the_charts_follow_the_theme(watched: Watched, site: str) -> None:
    page = watched.page
    page.emulate_media(color_scheme="light")
    open_home(page, site)
    bar = page.locator("[data-chart=messages] .barlayer .trace").first.locator(".point path").first
    light = bar.evaluate("(bar) => getComputedStyle(bar).fill")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(bar).not_to_have_css("fill", light)


def test_groups_follow_the_filters_without_a_reload(watched: Watched, site: str) -> None:
    page = watched.page
    open_home(page, site)
    page.goto(f"{site}/failures/")
    page.wait_for_load_state("networkidle")
    groups = page.locator("#groups tbody tr")
    everything = groups.count()
    assert everything >= 3
    page.evaluate("() => { window.loomStayed = true; }")
    page.get_by_label("Actor type").fill("ChainLink")
    expect(groups).to_have_count(1)
    expect(page.locator("#results a.row-link")).to_have_count(1)
    page.get_by_label("Failed", exact=True).select_option("15m")
    expect(page.locator("#groups h2")).to_contain_text("last 15 minutes")
    assert page.evaluate("() => window.loomStayed") is True
    # The number of failures leads to them; the row leads to the group's own page.
    groups.locator("a.above").click()
    expect(page.locator(".group-facts")).to_contain_text("BrokenLink")
    expect(page.locator("#results a.row-link")).to_have_count(1)
    page.wait_for_load_state("networkidle")
    # The group is a filter like the others: it stays when another one changes.
    page.get_by_label("Error type").fill("Nothing")
    expect(page.locator("#results")).to_contain_text("No failure matches")
    expect(page).to_have_url(re.compile("fingerprint=.+"))
    page.get_by_role("link", name="Show every group").click()
    expect(page).not_to_have_url(re.compile("fingerprint"))
    expect(page.locator("#groups tbody tr").first).to_be_visible()


def test_without_scripts_the_numbers_can_still_be_read(
    browser: Browser, watched: Watched, site: str
) -> None:
    open_home(watched.page, site)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/")
    page.get_by_text("Every number as a table").click()
    expect(page.locator(".charts ~ .as-table a.row-link").first).to_be_visible()
    expect(page.locator("[data-heat] path").first).to_be_visible()
    context.close()
