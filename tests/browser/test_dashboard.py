"""What a person does with the dashboard, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Watched, address

pytestmark = pytest.mark.browser


def open_trace(page: Page, site: str, workflow: str, status: str = "completed") -> None:
    page.goto(f"{site}/traces/?status={status}")
    page.locator("a.row-link", has_text=workflow).first.click()
    expect(page.locator("#waterfall tbody tr").first).to_be_visible()
    # Scripts are modules, which run after the page is there.
    page.wait_for_selector("#trace[data-ready]")


def test_from_the_failures_to_the_error_in_one_click(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/failures/")
    page.locator("#results a.row-link", has_text="OutOfStock").click()
    panel = page.locator("#panel")
    expect(panel.locator("[role=tab][aria-selected=true]")).to_have_text("Error")
    expect(panel.locator(".error-text")).to_contain_text("slide rule is no longer made")
    expect(panel.locator(".error-text")).to_be_in_viewport()
    expect(page.locator("#waterfall tr.selected")).to_be_in_viewport()
    panel.get_by_role("tab", name="Message").click()
    expect(panel).to_contain_text("slide rule")
    panel.get_by_role("tab", name="State").click()
    expect(panel).to_contain_text("this message did not change it")


def test_a_run_fills_in_live_until_it_has_completed(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/workflows/order/")
    page.get_by_label("Restocked after").fill("1")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}/"))
    page.evaluate("() => { window.loomStayed = true; }")
    expect(page.locator(".trace-title .status")).to_have_text("recovered", timeout=15_000)
    expect(page.locator("h1")).to_contain_text("completed after 1 failed attempt")
    expect(page.locator(".live")).to_have_count(0)
    expect(page.locator("#waterfall tbody tr", has_text="ship")).to_be_visible()


def test_a_row_loads_its_details_only_when_it_is_clicked(watched: Watched, site: str) -> None:
    page = watched.page
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    open_trace(page, site, "loan-application")
    assert not [url for url in loaded if "/spans/" in url]
    row = page.locator("#waterfall tbody tr", has_text="submit")
    row.locator(".w-link").click()
    expect(page.locator("#panel")).to_contain_text("applicant")
    assert [url for url in loaded if "/spans/" in url]
    assert "span=" in address(page)
    # The selection is in the address: a reload, or a colleague, sees the same.
    page.reload()
    expect(page.locator("#panel")).to_contain_text("applicant")
    expect(page.locator("#waterfall tr.selected")).to_contain_text("submit")


def test_state_before_and_after_are_shown_as_a_difference(watched: Watched, site: str) -> None:
    page = watched.page
    open_trace(page, site, "loan-application")
    page.locator("#waterfall tbody tr", has_text="submit").locator(".w-link").click()
    page.locator("#panel").get_by_role("tab", name="State").click()
    difference = page.locator("#panel table.diff")
    expect(difference).to_contain_text("$.applicant")
    expect(difference.locator("tr", has_text="$.status")).to_contain_text("approved")


def test_keys_walk_rows_and_errors_and_fold(watched: Watched, site: str) -> None:
    page = watched.page
    open_trace(page, site, "chain", "failed")
    page.keyboard.press("e")
    expect(page.locator("#waterfall tr.selected")).to_contain_text("BrokenLink")
    expect(page.locator("#panel .error-text")).to_contain_text("level 4 was asked to fail")
    page.keyboard.press("k")
    selected = page.locator("#waterfall tr.selected")
    expect(selected).not_to_contain_text("BrokenLink")
    before = page.locator("#waterfall tbody tr:visible").count()
    page.keyboard.press("ArrowLeft")
    expect(selected).to_have_attribute("aria-expanded", "false")
    assert page.locator("#waterfall tbody tr:visible").count() < before
    # Going to the error opens what hides it.
    page.keyboard.press("e")
    expect(page.locator("#waterfall tr.selected")).to_contain_text("BrokenLink")
    expect(page.locator("#waterfall tr.selected")).to_be_visible()
    page.keyboard.press("Escape")
    assert "span=" not in address(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()


def test_filters_change_the_list_and_the_address_without_a_reload(
    watched: Watched, site: str
) -> None:
    page = watched.page
    page.goto(f"{site}/traces/")
    page.evaluate("() => { window.loomStayed = true; }")
    page.get_by_label("Status").select_option("failed")
    expect(page.locator(".status.completed")).to_have_count(0)
    expect(page).to_have_url(re.compile("status=failed"))
    page.get_by_label("Actor type").fill("Order")
    expect(page.locator("a.row-link")).to_have_count(1)
    assert page.evaluate("() => window.loomStayed") is True
    page.go_back()
    expect(page.locator("a.row-link")).to_have_count(4)


def test_the_theme_can_be_switched_and_is_remembered(watched: Watched, site: str) -> None:
    page = watched.page
    page.emulate_media(color_scheme="light")
    page.goto(f"{site}/traces/")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(f"{site}/failures/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_value_is_downloaded_whole(watched: Watched, site: str, tmp_path: Path) -> None:
    page = watched.page
    open_trace(page, site, "loan-application")
    page.locator("#waterfall tbody tr", has_text="submit").locator(".w-link").click()
    with page.expect_download() as download:
        page.locator("#panel a.download").first.click()
    download.value.save_as(tmp_path / "message.json")
    assert '"applicant"' in (tmp_path / "message.json").read_text()


def test_without_scripts_everything_can_still_be_read(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/failures/")
    page.locator("#results a.row-link", has_text="OutOfStock").click()
    page.locator("#waterfall tbody tr", has_text="reserve").locator(".w-link").click()
    expect(page.locator(".error-text")).to_contain_text("slide rule is no longer made")
    context.close()


def test_the_trace_of_a_run_that_waits_leads_to_where_it_is_decided(
    watched: Watched, site: str
) -> None:
    page = watched.page
    open_trace(page, site, "loan-approval", status="running")
    expect(page.locator("h1")).to_contain_text("waits for the event decision")
    lasts = page.locator("[data-so-far]")
    before = lasts.inner_text()
    # It goes on without anything being loaded.
    expect(lasts).not_to_have_text(before, timeout=5_000)
    page.get_by_role("link", name="Send decision").click()
    expect(page.get_by_role("button", name="Approve")).to_be_in_viewport()


def test_runs_that_were_started_together_appear_and_end_in_the_list(
    watched: Watched, site: str
) -> None:
    page = watched.page
    page.goto(f"{site}/workflows/order/")
    page.get_by_label("Restocked after").fill("1")
    page.get_by_label("Times").fill("3")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/traces/\?"))
    begun = int(re.findall(r"begun=(\d+)", page.url)[0])
    page.evaluate("() => { window.loomStayed = true; }")
    fresh = page.locator("#results tbody tr", has=page.locator(".status.recovered"))
    expect(page.locator("#results")).not_to_contain_text("here so far", timeout=10_000)
    expect(page.locator(".awaited[hx-get]")).to_have_count(0, timeout=15_000)
    times = fresh.locator("time").evaluate_all("all => all.map((one) => Date.parse(one.dateTime))")
    assert sum(time >= begun for time in times) == 3
    assert page.evaluate("() => window.loomStayed")
    expect(page.locator(".newer-pill")).to_have_count(0)


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [1440, 390])
def test_in_a_deep_chain_the_end_of_each_actors_id_can_be_read(
    browser: Browser, site: str, width: int, scripts: bool
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, java_script_enabled=scripts
    )
    page = context.new_page()
    page.goto(f"{site}/traces/?type=ChainLink&status=completed")
    page.locator("a.row-link", has_text="chain").last.click()
    if scripts:
        page.wait_for_selector("#trace[data-ready]")
    rows = page.locator("#waterfall tbody tr")
    expect(rows.nth(15)).to_contain_text(re.compile(r"ChainLink/\w+-15"))
    for number in range(3, 16):
        row = rows.nth(number)
        cell, end = row.locator(".w-name").bounding_box(), row.locator(".tail").bounding_box()
        assert cell
        assert end
        assert row.locator(".tail").text_content().endswith(f"-{number}")
        assert end["x"] + end["width"] <= cell["x"] + cell["width"] + 1
        assert row.locator("b").bounding_box()["width"] > 20
    context.close()
