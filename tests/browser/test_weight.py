"""What a page weighs on the wire, and when the chart library comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.site import counted
from tests.pages import addresses

pytestmark = pytest.mark.browser
MOST_BYTES = 150_000
HEAVIEST = ("home", "traces", "trace", "trace-wide", "failures", "workflows", "system", "compare")


def measured(page: Page) -> Callable[[], dict[str, int]]:
    """Count what comes over the wire from now on, compressed as it comes, by address."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}

    def finished(event: dict[str, Any]) -> None:
        name = names.get(event["requestId"], "?")
        sizes[name] = sizes.get(name, 0) + int(event["encodedDataLength"])

    session.on(
        "Network.requestWillBeSent", lambda e: names.update({e["requestId"]: e["request"]["url"]})
    )
    session.on("Network.loadingFinished", finished)

    def read() -> dict[str, int]:
        found = dict(sizes)
        sizes.clear()
        return found

    return read


def test_no_page_weighs_more_than_150_kilobytes_without_the_chart_library(
    browser: Browser, site: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    counted(page, site)
    found = addresses(page, site)
    read = measured(page)
    for name in HEAVIEST:
        page.goto("about:blank")
        read()
        page.goto(f"{site}{found[name]}")
        page.wait_for_load_state("networkidle")
        sizes = read()
        assert sum("/static/" in url for url in sizes) > 5, name
        weight = sum(size for url, size in sizes.items() if "plotly-" not in url)
        assert weight <= MOST_BYTES, (name, weight, sorted(sizes.items(), key=lambda s: -s[1])[:4])
        assert any("plotly-" in url for url in sizes) == (name == "home")
    context.close()


def test_the_chart_library_comes_after_the_first_paint_and_is_kept(
    browser: Browser, site: str
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    counted(page, site)
    with page.expect_response(lambda answer: "plotly-" in answer.url) as answer:
        page.goto(f"{site}/")
    headers = answer.value.headers
    assert "immutable" in headers["cache-control"]
    assert headers["content-encoding"] in ("gzip", "br")
    page.locator("[data-chart=times] .scatterlayer .trace").first.wait_for()
    painted, asked = page.evaluate(
        """() => [
          performance.getEntriesByName("first-contentful-paint")[0].startTime,
          performance.getEntriesByType("resource")
            .find((resource) => resource.name.includes("plotly-")).startTime,
        ]"""
    )
    assert asked >= painted
    context.close()
