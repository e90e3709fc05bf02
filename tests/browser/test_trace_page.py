"""The trace page in a real browser: every key, every tab, links, live, and what happens without."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from bench.large_traces import events_of, write_trace
from storage.sqlite import Database, SqliteStore
from tests.browser.conftest import Watched, address
from tests.cosmos_server import ROOT, skip_or_fail
from tests.processes import serving
from tracing import Event
from tracing.containers import TRACE_EVENTS

pytestmark = pytest.mark.browser
VIEWS = (
    "",
    "?tab=sequence",
    "?tab=statistics",
    "?tab=events",
    "?find=ship&only=1&path=1",
)
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SECOND = 1_000_000_000
SMALL, LARGE, DEEP, ALIKE, OPEN, GIVEN_UP = (each * 32 for each in "abcde9")


def write(folder: Path, trace: str, events: list[Event]) -> None:
    """Store a trace beside whatever serves the folder."""

    async def store() -> None:
        opened = SqliteStore(Database(folder / "traces.db"))
        await write_trace(await opened.container(TRACE_EVENTS), trace, events)
        await opened.close()

    # Playwright's event loop runs in this thread.
    with ThreadPoolExecutor(1) as other:
        other.submit(asyncio.run, store()).result()


def messages(trace: str, parents: list[int | None], *, apart: int = 1_000_000) -> list[Event]:
    """Return messages that were handled, one for each parent in the list."""
    now, found = time.time_ns() - 60 * SECOND, []
    for number, parent in enumerate(parents):
        span = f"{number + 1:016x}"
        above = None if parent is None else f"{parent + 1:016x}"
        at, actor = now + number * apart, f"Link/{number}"
        found += [
            Event("queue:enqueued", trace, span, above, at, actor, "extend"),
            Event("message:started", trace, span, above, at + apart // 5, actor, "extend", 1),
            Event("message:completed", trace, span, above, at + apart // 2, actor, "extend", 1),
        ]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def traces(folder: Path) -> Iterator[str]:
    """The address of a Loom that has traces of all sizes, and no others."""
    write(folder, SMALL, events_of(SMALL, 900, time.time_ns() - 60 * SECOND))
    write(folder, LARGE, events_of(LARGE, 25_000, time.time_ns() - 60 * SECOND))
    write(folder, DEEP, messages(DEEP, [None, *range(9_999)], apart=100_000))
    write(folder, ALIKE, messages(ALIKE, [None] + [0] * 40))
    with serving(folder, LOOM_RUN_WORKERS="0") as address:
        yield f"{address}traces"


def go(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#trace[data-ready]", state="attached")


def rows(page: Page) -> Locator:
    return page.locator("#waterfall tbody tr")


def selected(page: Page) -> Locator:
    return page.locator("#waterfall tr.selected")


def test_only_rows_in_sight_are_in_the_document(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    grid = page.get_by_role("treegrid")
    expect(grid).to_have_attribute("aria-rowcount", "901")
    assert rows(page).count() < 60
    box = rows(page).first.bounding_box()
    assert box is not None
    assert box["height"] == 28
    page.keyboard.press("End")
    expect(selected(page)).to_have_attribute("aria-rowindex", "901")
    expect(selected(page)).to_be_in_viewport()
    expect(selected(page)).to_be_focused()
    assert rows(page).count() < 60
    page.keyboard.press("Home")
    expect(selected(page)).to_have_attribute("aria-rowindex", "2")
    expect(selected(page)).to_have_attribute("aria-level", "1")
    expect(page.locator('#waterfall tr[tabindex="0"]')).to_have_count(1)


def test_a_chain_of_ten_thousand_levels_is_shown_and_can_be_walked(
    watched: Watched, traces: str
) -> None:
    page = watched.page
    go(page, f"{traces}/{DEEP}/?span={9_000:016x}")
    expect(selected(page)).to_have_attribute("aria-level", "9000")
    expect(selected(page)).to_be_in_viewport()
    page.keyboard.press("ArrowLeft")
    expect(selected(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowLeft")
    expect(selected(page)).to_have_attribute("aria-level", "8999")
    page.keyboard.press("ArrowRight")
    expect(selected(page)).to_have_attribute("aria-level", "9000")
    page.get_by_role("button", name="Expand all").click()
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "10001")


def test_a_window_says_so_and_errors_outside_of_it_open_theirs(
    watched: Watched, traces: str
) -> None:
    page = watched.page
    go(page, f"{traces}/{LARGE}/")
    expect(page.locator("[data-window]")).to_contain_text("Showing rows 1–10,000 of 25,000")
    page.get_by_role("link", name="Later rows").click()
    page.wait_for_selector("#trace[data-ready]", state="attached")
    expect(page.locator("[data-window]")).to_contain_text("rows 10,001–20,000 of 25,000")
    page.keyboard.press("E")
    page.wait_for_url(re.compile("span="))
    page.wait_for_selector("#trace[data-ready]", state="attached")
    expect(selected(page)).to_be_in_viewport()
    expect(page.locator("[data-error-count]")).to_have_text(re.compile(r"\d+ of 62 failing"))


def test_siblings_that_are_alike_are_one_row_until_one_is_chosen(
    watched: Watched, traces: str
) -> None:
    page = watched.page
    go(page, f"{traces}/{ALIKE}/")
    expect(rows(page)).to_have_count(2)
    expect(rows(page).nth(1)).to_contain_text("40 × extend")
    rows(page).nth(1).locator("[data-fold]").click()
    expect(rows(page).nth(1)).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "43")
    go(page, f"{traces}/{ALIKE}/?span={20:016x}")
    expect(selected(page)).to_contain_text("Link/19")


def test_find_counts_steps_negates_and_leaves_out(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    count = page.locator("[data-find-count]")
    page.keyboard.press("/")
    expect(page.locator("[data-find]")).to_be_focused()
    page.keyboard.type("error=outofstock")
    expect(count).to_have_text("2")
    page.keyboard.press("Enter")
    expect(count).to_have_text("1 of 2")
    expect(selected(page)).to_contain_text("OutOfStock")
    rows(page).first.focus()
    page.keyboard.press("n")
    expect(count).to_have_text("2 of 2")
    page.keyboard.press("N")
    expect(count).to_have_text("1 of 2")
    page.get_by_role("button", name="Matches only").click()
    expect(rows(page).locator(".err:visible")).to_have_count(2)
    expect(page).to_have_url(re.compile("find=error%3Doutofstock.*only=1"))
    find = page.locator("[data-find]")
    for text, found in (
        ("-error=outofstock", "898"),
        ("kind=message", "900"),
        ("-kind=message", "none"),
        ("type=order -type=order", "none"),
        ('name=ship actor="Order/3"', None),
        ("nobody", "none"),
        ("-error", "898"),
        ("error=", "2"),
        ("status=failed", "2"),
        ("-status=done", "2"),
        ("status=open", "none"),
    ):
        find.fill(text)
        if found is None:
            expect(count).to_have_text(re.compile(r"^\d+$"))
        else:
            expect(count).to_have_text(re.compile(f"^(\\d+ of )?{found}$"))
    find.fill("")
    expect(page.get_by_role("button", name="Matches only")).to_be_hidden()


def test_the_bars_of_a_dead_letter_are_as_long_as_its_row_lasts(
    watched: Watched, traces: str, folder: Path
) -> None:
    page, span, begin = watched.page, f"{1:016x}", time.time_ns() - 60 * SECOND
    told = [
        ("queue:enqueued", 0, 0),
        ("message:started", 20, 1),
        ("message:failed", 50, 1),
        ("message:dead_lettered", 100, 1),
    ]
    write(
        folder,
        GIVEN_UP,
        [
            Event(type, GIVEN_UP, span, None, begin + at * 1_000_000, "Link/1", "extend", attempt)
            for type, at, attempt in told
        ],
    )
    go(page, f"{traces}/{GIVEN_UP}/")
    bars = page.locator("#waterfall tbody tr .bars rect:not(.gap)")
    assert [bar.get_attribute("class") for bar in bars.all()] == ["waiting", "handling", "backoff"]
    ends = [float(str(bars.last.get_attribute(part)).rstrip("%")) for part in ("x", "width")]
    assert sum(ends) >= 100


def test_errors_are_counted_and_stepped_through(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    count = page.locator("[data-error-count]")
    expect(count).to_have_text("2 failing spans")
    page.keyboard.press("e")
    expect(count).to_have_text("1 of 2 failing")
    page.get_by_role("button", name="Next failing span").click()
    expect(count).to_have_text("2 of 2 failing")
    page.keyboard.press("E")
    expect(count).to_have_text("1 of 2 failing")
    expect(page.locator("#panel .bad").first).to_have_text("failed")


def test_the_overview_zooms_selects_errors_and_is_reset(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    strip = page.locator("#overview")
    box = strip.bounding_box()
    assert box is not None
    axis = page.locator(".axis span").last
    whole = axis.inner_text()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 40, steps=4)
    page.mouse.up()
    expect(axis).not_to_have_text(whole)
    expect(page).to_have_url(re.compile(r"zoom=[\d.]+-[\d.]+"))
    strip.dblclick(position={"x": 300, "y": 40})
    expect(axis).to_have_text(whole)
    page.keyboard.press("j")
    page.keyboard.press("z")
    expect(axis).not_to_have_text(whole)
    page.keyboard.press("f")
    expect(axis).to_have_text(whole)
    assert "zoom=" not in address(page)


def test_a_link_restores_exactly_what_was_seen(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    page.keyboard.press("e")
    page.get_by_role("tab", name="Raw").click()
    page.locator("[data-find]").fill("actor=order")
    expect(page).to_have_url(re.compile("find=.*"))
    page.get_by_role("button", name="Critical path").click()
    expect(page.locator("#trace")).to_have_class(re.compile("with-path"))
    link = address(page)
    for part in ("span=", "detail=raw", "find=actor", "path=1"):
        assert part in link
    seen = page.locator("[data-find-count]").inner_text()
    chosen = selected(page).get_attribute("data-span")
    go(page, link)
    expect(selected(page)).to_have_attribute("data-span", chosen or "")
    expect(page.get_by_role("tab", name="Raw")).to_have_attribute("aria-selected", "true")
    expect(page.locator("[data-find-count]")).to_have_text(seen)
    expect(page.locator("#trace")).to_have_class(re.compile("with-path"))
    assert address(page) == link
    go(page, f"{traces}/{ALIKE}/?path=1")
    expect(page.locator("#waterfall rect.critical").first).to_be_attached()


def test_every_tab_shows_the_same_selection(watched: Watched, traces: str) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    page.keyboard.press("j")
    chosen = selected(page).get_attribute("data-span")
    page.keyboard.press("2")
    expect(page.locator(".sequence a.message")).to_have_count(500)
    expect(page.locator("#view-sequence .notice")).to_contain_text("first 500 of 900 messages")
    expect(page.locator(".sequence a.selected")).to_have_attribute("data-span", chosen or "")
    page.locator(".sequence a.message").nth(3).click()
    page.keyboard.press("3")
    expect(page.locator("#view-statistics")).to_contain_text("By kind of work")
    expect(page).to_have_url(re.compile("tab=statistics"))
    page.keyboard.press("4")
    events = page.locator("#view-events")
    expect(events).to_contain_text("1–100 of 2,702")
    events.get_by_role("link", name="Later").click()
    expect(events).to_contain_text("101–200 of 2,702")
    page.get_by_label("Type").select_option("message:failed")
    expect(events).to_contain_text("1–2 of 2")
    events.locator("a.row-link").first.click()
    expect(page.locator("#panel .bad").first).to_have_text("failed")
    page.keyboard.press("1")
    expect(selected(page)).to_contain_text("OutOfStock")
    page.get_by_role("tab", name="Waterfall").press("ArrowRight")
    expect(page.get_by_role("tab", name="Sequence")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name="Sequence")).to_be_focused()


def test_attempts_are_nested_under_their_row(watched: Watched, site: str) -> None:
    page = watched.page
    page.goto(f"{site}/traces/?status=recovered")
    page.locator("a.row-link", has_text="order").first.click()
    page.wait_for_selector("#trace[data-ready]", state="attached")
    before = rows(page).count()
    row = rows(page).filter(has_text="reserve").first
    row.locator("[data-attempts]").click()
    attempts = rows(page).filter(has_text=re.compile("^attempt "))
    expect(attempts.first).to_contain_text("attempt 1")
    expect(rows(page)).to_have_count(before + attempts.count())
    idle = page.get_by_role("button", name="Idle time")
    expect(idle).to_be_visible()
    expect(page.locator("#waterfall rect.gap").first).to_be_attached()
    idle.click()
    expect(page.locator("#waterfall rect.gap")).to_have_count(0)
    expect(page).to_have_url(re.compile("idle=1"))


def test_a_turn_that_waited_is_one_attempt_in_parts(
    watched: Watched, traces: str, folder: Path
) -> None:
    page, trace, span = watched.page, secrets.token_hex(16), "8" * 16
    start = time.time_ns() - 60 * SECOND
    told = [
        ("queue:enqueued", 0),
        ("message:started", 10),
        ("turn:suspended", 20),
        ("message:started", 50),
        ("message:completed", 60),
    ]
    events = [
        Event(kind, trace, span, None, start + at * 1_000_000, "Loan/1", "decide", 1)
        for kind, at in told
    ]
    write(folder, trace, events)
    go(page, f"{traces}/{trace}/")
    parts = rows(page).first.locator("[data-attempts]")
    expect(parts).to_have_text("waited")
    kinds = rows(page).first.locator(".bars rect:not(.gap)")
    assert [bar.get_attribute("class") for bar in kinds.all()] == [
        *("waiting", "handling", "backoff", "handling")
    ]
    parts.click()
    expect(rows(page).nth(1)).to_contain_text("attempt 1until it waited")
    expect(rows(page).nth(2)).to_contain_text("attempt 1, went on")


def test_keys_are_told_and_the_link_is_copied(watched: Watched, traces: str) -> None:
    page = watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go(page, f"{traces}/{SMALL}/")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    for key in ("next, previous failing span", "find:", "fit the whole trace"):
        expect(dialog).to_contain_text(key)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("j")
    # Only a page that has the focus may write to the clipboard.
    page.bring_to_front()
    page.wait_for_function("() => document.hasFocus()")
    page.keyboard.press(".")
    expect(page.locator("[data-copy-link]")).to_have_attribute("data-done", "")
    assert page.evaluate("() => navigator.clipboard.readText()") == address(page)
    page.keyboard.press("Escape")
    assert "span=" not in address(page)
    expect(selected(page)).to_have_count(0)


def test_a_running_trace_grows_and_nothing_moves(
    watched: Watched, traces: str, folder: Path
) -> None:
    page = watched.page
    begun = messages(OPEN, [None, *[n // 3 for n in range(60)]])
    write(folder, OPEN, begun[:-1])
    go(page, f"{traces}/{OPEN}/")
    expect(page.locator(".live")).to_have_text("live")
    page.keyboard.press("j")
    chosen = selected(page).get_attribute("data-span")
    page.locator("#rows").evaluate("(box) => { box.scrollTop = 300; }")
    top = page.evaluate(
        """() => [...document.querySelectorAll("#waterfall tbody tr")].map(
            (row) => [row.dataset.span, Math.round(row.getBoundingClientRect().top)])"""
    )
    more = f"{500:016x}"
    at = begun[-1].time_ns + 1_000
    write(folder, OPEN, [Event("queue:enqueued", OPEN, more, f"{1:016x}", at, "New/1", "more")])
    expect(page.get_by_role("treegrid")).not_to_have_attribute("aria-rowcount", "62")
    after = dict(
        page.evaluate(
            """() => [...document.querySelectorAll("#waterfall tbody tr")].map(
            (row) => [row.dataset.span, Math.round(row.getBoundingClientRect().top)])"""
        )
    )
    moved = [span for span, place in top if span in after and after[span] != place]
    assert not moved
    assert f"span={chosen}" in address(page)
    closing = [
        begun[-1],
        Event("message:completed", OPEN, more, f"{1:016x}", at + 9_000, "New/1", "more", 1),
    ]
    write(folder, OPEN, closing)
    expect(page.locator(".live")).to_have_count(0)
    expect(page.locator(".trace-title .status")).to_have_text("completed")


def test_when_the_stream_drops_the_page_says_so_and_asks_by_itself(
    browser: Browser, traces: str, folder: Path
) -> None:
    trace = "f" * 32
    begun = messages(trace, [None, 0])
    write(folder, trace, begun[:-1])
    context = browser.new_context()
    page = context.new_page()

    def refuse(route: Route) -> None:
        route.abort()

    page.route("**/stream/", refuse)
    go(page, f"{traces}/{trace}/")
    expect(page.locator(".live")).to_have_text("reconnecting")
    expect(page.locator(".live")).to_have_text("polling", timeout=15_000)
    write(folder, trace, begun[-1:])
    expect(page.locator(".live")).to_have_count(0, timeout=15_000)
    expect(page.locator(".trace-title .status")).to_have_text("completed")
    context.close()


def test_a_trace_that_ends_before_its_rows_are_asked_for_is_told_as_ended(
    watched: Watched, traces: str, folder: Path
) -> None:
    page, trace = watched.page, secrets.token_hex(16)
    *begun, end = messages(trace, [None, 0])
    write(folder, trace, begun)
    ending = [end]

    def rows_asked(route: Route) -> None:
        write(folder, trace, ending)
        ending.clear()
        route.continue_()

    page.route("**/rows/**", rows_asked)
    page.goto(f"{traces}/{trace}/")
    expect(page.locator(".trace-title .status")).to_have_text("completed")
    expect(page.locator(".live")).to_have_count(0)


def test_a_header_of_before_the_end_beside_rows_of_after_it_is_asked_for_again(
    watched: Watched, traces: str, folder: Path
) -> None:
    page, trace = watched.page, secrets.token_hex(16)
    *begun, end = messages(trace, [None, 0])
    write(folder, trace, begun)
    ending, held = [end], []
    go(page, f"{traces}/{trace}/")

    def header_asked(route: Route) -> None:
        answer = route.fetch()
        write(folder, trace, ending)
        ending.clear()
        route.fulfill(response=answer)
        while held:
            held.pop().continue_()

    page.route("**/rows/**", lambda route: held.append(route) if ending else route.continue_())
    page.route("**/live/", header_asked)
    write(
        folder, trace, [Event("queue:enqueued", trace, "7" * 16, None, end.time_ns, "New/1", "x")]
    )
    ending.append(Event("message:completed", trace, "7" * 16, None, end.time_ns + 9, "New/1", "x"))
    expect(page.locator(".trace-title .status")).to_have_text("completed")
    expect(page.locator(".live")).to_have_count(0)


def test_an_exported_trace_is_opened_from_its_file(
    watched: Watched, traces: str, tmp_path: Path
) -> None:
    page = watched.page
    go(page, f"{traces}/{SMALL}/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    download.value.save_as(tmp_path / "trace.json")
    page.goto(f"{traces}/upload/")
    page.get_by_label("File").set_input_files(tmp_path / "trace.json")
    page.get_by_role("button", name="Show it").click()
    page.wait_for_selector("#trace[data-ready]", state="attached")
    expect(page.locator(".tag")).to_have_text("uploaded")
    page.keyboard.press("e")
    expect(page.locator("#panel")).to_contain_text("OutOfStock")
    page.keyboard.press("2")
    expect(page.locator(".sequence a.message")).to_have_count(500)


def test_without_scripts_the_first_rows_are_a_table_with_links(
    browser: Browser, traces: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{traces}/{LARGE}/")
    expect(rows(page)).to_have_count(120)
    expect(page.locator("[data-window]")).to_contain_text("Showing rows 1–120 of 25,000")
    page.get_by_role("link", name="Later rows").click()
    expect(page.locator("[data-window]")).to_contain_text("rows 121–240")
    rows(page).first.locator(".w-link").click()
    expect(page.get_by_role("tab", name="Raw")).to_be_visible()
    page.goto(f"{traces}/{SMALL}/")
    page.get_by_role("tab", name="Events").click()
    expect(page.locator("#trace-events")).to_contain_text("1–100 of 2,702")
    context.close()


def test_on_paper_every_row_is_there_in_light_colours(browser: Browser, traces: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = context.new_page()
    go(page, f"{traces}/{SMALL}/")
    page.keyboard.press("e")
    expect(page.locator("#panel .bad").first).to_have_text("failed")
    page.emulate_media(media="print", color_scheme="dark")
    expect(rows(page)).to_have_count(900)
    expect(page.locator("#trace-head h1")).to_be_visible()
    expect(page.locator("#panel h2")).to_be_visible()
    for chrome in (".topbar", "#overview", ".trace-bar", "#trace-head button.icon-button"):
        expect(page.locator(chrome).first).to_be_hidden()
    colours = page.evaluate(
        """() => [document.body, document.querySelector("#panel")].map(
            (each) => getComputedStyle(each).backgroundColor)"""
    )
    assert colours == ["rgb(255, 255, 255)"] * 2
    tops = page.evaluate(
        """() => [...document.querySelectorAll("#waterfall tbody tr")].map(
            (row) => row.getBoundingClientRect().top)"""
    )
    assert tops == sorted(set(tops)), "rows lie on each other"
    page.emulate_media(media="screen", color_scheme="dark")
    expect(selected(page)).to_be_in_viewport()
    assert rows(page).count() < 60
    # Nine hundred rows take pages; those in sight would take two or three.
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert pages > 10
    assert rows(page).count() < 60
    go(page, f"{traces}/{DEEP}/?span={9_000:016x}")
    page.emulate_media(media="print")
    expect(rows(page)).to_have_count(1_000)
    expect(page.locator("[data-printed]")).to_have_text(
        "Rows 8,500 to 9,499 of 10,000 are on paper."
    )
    expect(selected(page)).to_have_count(1)
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_every_view_fits_and_can_be_used_by_all(
    browser: Browser, traces: str, theme: str, width: int
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
    for query in (
        "",
        "?tab=sequence",
        "?tab=statistics",
        "?tab=events",
        "?find=ship&only=1&path=1",
    ):
        go(page, f"{traces}/{SMALL}/{query}")
        page.wait_for_load_state("networkidle")
        if not query:
            page.keyboard.press("e")
            expect(page.locator("#panel [role=tab]").first).to_be_visible()
        overflow = page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"{query} is {overflow} px too wide at {width}"
        page.add_script_tag(content=AXE.read_text())
        found = page.evaluate("async () => (await axe.run()).violations")
        problems += [
            f"{query}: {rule['id']} {[node['target'] for node in rule['nodes']][:3]}"
            for rule in found
        ]
    context.close()
    assert problems == []
    assert watched.complaints == []
