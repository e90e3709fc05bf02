"""Time travel in a real browser: the slider, its keys, the line through the rows, and links."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import AXE, Watched, address
from tests.cosmos_server import skip_or_fail

pytestmark = pytest.mark.browser


def recovered(page: Page, site: str) -> None:
    """Open the sample order that recovered: the oldest, as other tests run some of their own."""
    page.goto(f"{site}/traces/?status=recovered")
    page.locator("a.row-link", has_text="order").last.click()
    page.wait_for_selector("#trace[data-ready]", state="attached")


def what(page: Page) -> Locator:
    return page.locator("#states .states-what")


def at(page: Page) -> str:
    found = re.search(r"[?&]at=([\d.]+)", address(page))
    assert found
    return found.group(1)


def test_arrow_keys_go_from_change_to_change(watched: Watched, site: str) -> None:
    page = watched.page
    recovered(page, site)
    expect(page.locator("#states")).to_be_hidden()
    page.keyboard.press("t")
    slider = page.get_by_role("slider", name="Instant")
    expect(slider).to_be_focused()
    expect(what(page)).to_contain_text("7 of 7")
    page.keyboard.press("Home")
    expect(what(page)).to_contain_text("1 of 7")
    expect(page.locator(".state-card")).to_have_count(1)
    expect(page.locator(".state-card.now")).to_contain_text("No state yet")
    page.keyboard.press("ArrowRight")
    expect(what(page)).to_contain_text("2 of 7")
    expect(page.locator(".state-card.now .mark-added").first).to_contain_text("placed")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("after the start, 2 of 7"))
    page.keyboard.press("ArrowRight")
    expect(what(page)).to_contain_text("failed handling reserve")
    expect(page.locator(".state-card.now")).to_have_count(0)
    expect(page.locator(".state-card.hit")).to_contain_text("placed")
    page.keyboard.press("]")
    page.keyboard.press("]")
    changed = page.locator(".state-card.now .mark-changed")
    expect(changed).to_contain_text('"reserved"')
    expect(changed).to_contain_text('was "placed"')
    page.keyboard.press("[")
    expect(what(page)).to_contain_text("4 of 7")
    page.keyboard.press("End")
    expect(page.locator(".state-card")).to_have_count(2)
    expect(page.locator(".state-card").first).to_contain_text("unchanged for")
    # Keys of the page still work from the slider.
    page.keyboard.press("e")
    expect(page.locator("#panel [role=tab]").first).to_have_text("Error")
    expect(what(page)).to_contain_text("7 of 7")
    slider.focus()
    page.keyboard.press("Escape")
    expect(page.locator("#states")).to_be_hidden()
    assert "at=" not in address(page)
    assert "span=" in address(page)


def test_a_link_restores_the_instant_beside_the_selection(watched: Watched, site: str) -> None:
    page = watched.page
    recovered(page, site)
    page.keyboard.press("e")
    page.get_by_role("button", name="Time travel").click()
    # It begins where the selected row ends: at the change that it made.
    expect(what(page)).to_contain_text("5 of 7")
    page.locator("#states [data-step='-1']").click()
    expect(what(page)).to_contain_text("4 of 7")
    expect(page.locator("#states [data-step='-1']")).to_be_focused()
    expect(page.locator("#panel")).to_contain_text("ShelfEmpty")
    link, instant = address(page), at(page)
    page.goto(link)
    page.wait_for_selector("#trace[data-ready]", state="attached")
    expect(what(page)).to_contain_text("4 of 7")
    expect(page.locator("#panel")).to_contain_text("ShelfEmpty")
    assert at(page) == instant
    page.locator("#states .states-what a").click()
    expect(page.locator("#waterfall tr.selected")).to_contain_text("reserve")
    assert at(page) == instant


def test_a_press_that_takes_longer_than_an_answer_is_a_click(watched: Watched, site: str) -> None:
    page = watched.page
    recovered(page, site)
    page.keyboard.press("t")
    expect(what(page)).to_contain_text("7 of 7")
    back = page.locator("#states [data-step='-1']")
    # The slider moves to a change whose states come while the button is held down.
    page.keyboard.press("ArrowLeft")
    back.hover()
    page.mouse.down()
    page.wait_for_timeout(400)
    page.mouse.up()
    expect(what(page)).to_contain_text("5 of 7")


def test_what_was_asked_for_before_the_end_does_not_come_back(watched: Watched, site: str) -> None:
    page = watched.page
    recovered(page, site)
    waiting: list[Route] = []
    page.route("**/states/?*", lambda route: waiting.append(route))
    page.keyboard.press("t")
    page.keyboard.press("Home")
    page.wait_for_timeout(200)
    assert waiting
    page.keyboard.press("Escape")
    page.unroute("**/states/?*")
    page.keyboard.press("e")
    page.keyboard.press("t")
    # Where the selected row ends, whatever was asked for the other time.
    expect(what(page)).to_contain_text("5 of 7")
    page.wait_for_timeout(300)
    expect(what(page)).to_contain_text("5 of 7")


def test_an_instant_that_was_chosen_while_the_states_come_stays(
    watched: Watched, site: str
) -> None:
    page = watched.page
    recovered(page, site)
    waiting: list[Route] = []
    page.route("**/states/?*", lambda route: waiting.append(route))
    page.keyboard.press("t")
    page.keyboard.press("Home")
    box = page.get_by_role("slider", name="Instant").bounding_box()
    assert box is not None
    # Near the end, where the actor has begun however long its first message waited.
    page.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + box["height"] / 2)
    chosen = at(page)
    page.wait_for_timeout(200)
    assert waiting
    page.unroute("**/states/?*")
    expect(what(page)).to_contain_text("of 7")
    page.wait_for_timeout(300)
    assert at(page) == chosen


def test_the_line_is_where_the_slider_is_and_follows_the_zoom(watched: Watched, site: str) -> None:
    page = watched.page
    recovered(page, site)
    page.keyboard.press("t")
    slider = page.get_by_role("slider", name="Instant")
    box = slider.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#waterfall")).to_have_class(re.compile("playhead"))

    def line() -> float:
        return float(
            page.evaluate(
                """() => {
                  const body = document.querySelector("#waterfall tbody");
                  const left = getComputedStyle(body, "::after").insetInlineStart;
                  return body.getBoundingClientRect().left + parseFloat(left);
                }"""
            )
        )

    assert abs(line() - (box["x"] + box["width"] / 2)) < 2
    page.keyboard.press("Home")
    expect(what(page)).to_contain_text("1 of 7")
    instant = at(page)
    page.locator("#waterfall tbody tr").last.click()
    page.keyboard.press("z")
    # The last row begins long after that instant.
    expect(page.locator("#waterfall")).not_to_have_class(re.compile("playhead"))
    assert at(page) == instant
    page.keyboard.press("]")
    expect(page.locator("#waterfall")).to_have_class(re.compile("playhead"))
    assert at(page) != instant
    page.keyboard.press("f")
    expect(page.locator("#waterfall")).to_have_class(re.compile("playhead"))


def test_without_scripts_it_is_a_page_with_a_form(browser: Browser, site: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/traces/?status=recovered")
    page.locator("a.row-link", has_text="order").last.click()
    page.get_by_role("link", name="States over time").click()
    expect(page.locator(".states-what")).to_contain_text("7 of 7")
    page.get_by_role("link", name="Previous change").click()
    expect(page.locator(".states-what")).to_contain_text("6 of 7")
    page.get_by_label("Milliseconds after the start").fill("0")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".states-what")).to_contain_text("No actor has begun yet")
    page.get_by_role("link", name="Back to the trace").click()
    expect(page.locator("#waterfall")).to_be_visible()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits_and_can_be_used_by_all(
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
    recovered(page, site)
    page.keyboard.press("t")
    expect(what(page)).to_contain_text("7 of 7")
    on_the_trace = address(page)
    problems = []
    for link in (on_the_trace, re.sub(r"/\?at=.*", "/states/", on_the_trace)):
        page.goto(link)
        expect(page.locator(".state-card")).to_have_count(2)
        overflow = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{link} is {overflow} px too wide at {width}"
        page.add_script_tag(content=AXE.read_text())
        found = page.evaluate("async () => (await axe.run()).violations")
        problems += [
            f"{rule['id']} {[node['target'] for node in rule['nodes']][:3]}" for rule in found
        ]
    context.close()
    assert problems == []
    assert watched.complaints == []
