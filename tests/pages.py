"""Every page of the dashboard, with what stands on it; for tests of all pages, and for pictures.

A page is added by adding a line. Addresses that hold ids are found as a person finds them: by the
link of another page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from playwright.sync_api import Page

TRACES_OF_A_RUN = "#results a.row-link"
FAILED = "/failures/"


@dataclass(frozen=True)
class Shown:
    """A page.

    Attributes:
        name: of its picture, too.
        address: below the site's; it may name those of earlier pages, as in "{trace}statistics/".
        says: text that can be read on it, with scripts and without.
        link, text: the link of `address` that leads to the page, and what it holds, where the
            address itself cannot be known.
        status: what its answer has.
    """

    name: str
    address: str
    says: str
    link: str = ""
    text: str = ""
    status: int = 200


PAGES = (
    Shown("home", "/", "Failure groups"),
    Shown("home-week", "/?since=7d", "Actor types"),
    Shown("traces", "/traces/", "loan-application"),
    Shown("traces-failed", "/traces/?status=failed&since=24h", "order"),
    Shown("traces-none", "/traces/?type=Nobody", "No trace matches these filters"),
    Shown("trace", "/failures/", "OutOfStock", TRACES_OF_A_RUN, "OutOfStock"),
    Shown("trace-wide", "/traces/?type=Counter", "WordCount", TRACES_OF_A_RUN, "word-count"),
    Shown("trace-statistics", "{trace}statistics/", "Critical path"),
    Shown("trace-events", "{trace}events/", "message:dead_lettered"),
    Shown("trace-states", "{trace}states/", "failed handling"),
    Shown("span", "{trace}", "slide rule is no longer made", "#waterfall a.w-link", "OutOfStock"),
    Shown("compare", "{trace}compare/", "First divergence"),
    Shown("compare-choose", "{trace}compare/?choose=1", "Compare with another trace"),
    Shown("trace-missing", f"/traces/{'0' * 32}/", "There is no such trace", status=404),
    Shown("upload", "/traces/upload/", "Open an exported trace"),
    Shown("failures", "/failures/", "BrokenLink"),
    Shown("failures-none", "/failures/?error=Nothing", "No failure matches these filters"),
    Shown("dead-letters", "/dead-letters/", "BrokenLink"),
    Shown("dead-letters-none", "/dead-letters/?error=Nothing", "No dead letter"),
    Shown(
        "dead-letter",
        "/dead-letters/",
        "Failures of this group",
        "table.letters a.row-link",
        "OutOfStock",
    ),
    Shown(
        "group",
        "{dead-letter}",
        "OutOfStock",
        "main a",
        "Failures of this group",
    ),
    Shown("actors", "/actors/", "the event decision"),
    Shown("actor-type", "/actors/LoanApproval/", "waits for the event decision"),
    Shown("workflows", "/workflows/", "Deep chain"),
    Shown("workflow", "/workflows/order/", "Restocked after"),
    Shown("actor", "/workflows/", "State now", ".waiting-runs a", "LoanApproval/"),
    Shown("system", "/system/", "Trace writer"),
    Shown("event-types", "/system/events/", "message:dead_lettered"),
    Shown("audit", "/audit/", "Audit"),
    Shown("audit-actors", "/audit/actors/", "Audit of actors"),
    Shown("nowhere", "/?q=nothing", "Nothing has this id", status=404),
    Shown("not-found", "/no-such-page/", "There is nothing at this address", status=404),
    Shown("styleguide", "/styleguide/", "Reference chips"),
)


def find(page: Page, site: str, shown: Shown, found: Mapping[str, str]) -> str:
    """Return the address of a page, below the site's; `found` has those of earlier ones."""
    addresses = {name: address.partition("?")[0] for name, address in found.items()}
    address = shown.address.format_map(addresses)
    if not shown.link:
        return address
    page.goto(f"{site}{address}")
    link = page.locator(shown.link, has_text=shown.text).last.get_attribute("href")
    assert link, f"{address} has no link to {shown.name}"
    return link


def addresses(page: Page, site: str) -> dict[str, str]:
    """Return the address of every page, by name."""
    found: dict[str, str] = {}
    for shown in PAGES:
        found[shown.name] = find(page, site, shown, found)
    return found
