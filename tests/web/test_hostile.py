"""Payloads, keys, names and errors that are out to break the page are shown as text, in bounds."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient

from actors import RetryPolicy
from loomweb import wiring
from loomweb.config import load_config
from loomweb.wiring import Loom
from tests import hostile_actors as hostile
from tests.conftest import quick_settings
from tests.web.conftest import HTMX, settled, tabs_and_references, text
from tracing import Outcome, Ref, RefKind, Resolved, Resolvers, Source, TraceTree

MOST = 2_000_000
"""Characters that no answer exceeds, whatever it is about."""
BIG = 5_000_000
TABS = ("error", "message", "state", "journal", "effects", "raw")
ONCE = RetryPolicy(max_retries=0)

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0041]"
)


class Elements(HTMLParser):
    """Finds what a page must not have: elements and attributes that came out of data."""

    NEVER = frozenset({"img", "u", "br", "iframe", "object", "embed", "style", "base"})

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        inline = tag == "script" and not (given.get("src") or given.get("type"))
        if tag in self.NEVER or inline:
            self.wrong.append(tag)
        for name, value in attrs:
            scripted = (value or "").strip().lower().startswith("javascript:")
            if (name.startswith("on") or name == "style") or (scripted and name != "data-copy"):
                self.wrong.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(answer: str, where: str) -> str:
    """Check that nothing got out of its box; return what a person reads."""
    assert len(answer) < MOST, f"{where}: {len(answer):,} characters"
    elements = Elements()
    elements.feed(answer)
    assert elements.wrong == [], where
    unseen = _UNSEEN.search(answer)
    assert unseen is None, f"{where}: {unseen!r}"
    return "".join(elements.text)


@pytest.fixture
async def loom(tmp_path: Path) -> AsyncIterator[Loom]:
    """A Loom whose actors are hostile, and fail at once."""
    opened = await wiring.open_loom(load_config(quick_settings(tmp_path)))
    opened.executor._retry_policy = ONCE
    worker = opened.start_worker(hostile.Victim)
    worker._policy = replace(worker._policy, max_retries=0)
    yield opened
    await wiring.close_loom()


async def ran(loom: Loom, message_type: str = "start") -> TraceTree:
    await loom.runtime.send("Victim/one", message_type, {})
    (trace,) = await settled(loom)
    tree = await loom.reconstructor.reconstruct(trace.trace_id)
    assert tree is not None
    return tree


def panels(tree: TraceTree) -> list[str]:
    return [f"/traces/{tree.summary.trace_id}/spans/{span.span_id}/" for span in tree.spans]


async def test_wherever_a_link_of_a_panel_leads_nasty_text_is_text(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await ran(loom)
    wanted, asked, read = set(panels(tree)), set(), []
    while wanted - asked:
        where = min(wanted - asked)
        asked.add(where)
        began = time.monotonic()
        response = await client.get(where, headers=HTMX)
        assert response.status_code == 200, where
        assert time.monotonic() - began < 3, where
        read.append(check(text(response), where))
        # Of the hundreds of questions about a state's paths, some of each kind are enough.
        found = sorted(tabs_and_references(text(response)))
        wanted |= {link for link in found if "last-change" not in link}
        wanted |= set([link for link in found if "last-change" in link][::60])
    everything = "\n".join(read)
    for shown in (hostile.SCRIPT, hostile.IMAGE, hostile.TEMPLATE, hostile.QUOTES):
        assert shown in everything
    for spelled in ("\\u202eexe.tnemyap", "nul\\u0000 bell\\u0007", "שלום מרחבا"[:4]):
        assert spelled in everything
    assert "entries more; the download has everything" in everything
    assert "nested too deep to show" in everything
    assert sum("last-change" in where for where in asked) > 3


@pytest.mark.parametrize("message_type", ["start", "bury"])
async def test_every_page_of_a_hostile_trace_is_text(
    loom: Loom, client: AsyncClient, message_type: str
) -> None:
    tree = await ran(loom, message_type)
    pages = [f"{panel}?tab={tab}" for panel in panels(tree) for tab in TABS]
    trace = f"/traces/{tree.summary.trace_id}/"
    pages += [trace, *(f"{trace}{part}/" for part in ("live", "statistics", "events", "states"))]
    comparing = f"{trace}compare/{tree.summary.trace_id}/"
    pages += [f"{trace}compare/", comparing, f"{comparing}?rows=all", f"{comparing}data/?all=1"]
    # Those of a nasty key are for the browser: the test client garbles what is not ASCII.
    pages.append("/actors/Victim/one/")
    for where in ("/", "/traces/", "/failures/", *pages, "/audit/", "/audit/actors/"):
        response = await client.get(where)
        assert response.status_code == 200, where
        check(text(response), where)
        policy = response.headers["Content-Security-Policy"]
        assert "unsafe" not in policy


@pytest.mark.parametrize("nasty", [*hostile.NASTY.values(), hostile.ALL, "[" * 300])
async def test_what_is_typed_into_a_filter_comes_back_as_text(
    loom: Loom, client: AsyncClient, nasty: str
) -> None:
    await ran(loom)
    for where, names in (
        ("/", ("q", "since")),
        ("/traces/", ("actor", "type", "message", "error", "least", "status", "cursor")),
        ("/traces/newer/", ("actor", "type", "error")),
        ("/failures/", ("error", "type", "fingerprint", "since", "cursor")),
    ):
        for name in names:
            query = {name: nasty, **({"after": "1"} if "newer" in where else {})}
            for headers in ({}, HTMX):
                response = await client.get(where, query, headers=headers)
                assert response.status_code in (200, 404), (where, name)
                # What a person typed stands in its field as it was typed.
                answer = re.sub(r' value="[^"]*"', "", text(response))
                check(answer, f"{where}?{name}")


async def test_a_failure_under_large_data_still_shows_all_of_it_in_brief(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await ran(loom, "bury")
    failed = next(span for span in tree.spans if span.name == "choke")
    where = f"/traces/{tree.summary.trace_id}/spans/{failed.span_id}/"
    panel = text(await client.get(where, headers=HTMX))
    read = check(panel, where)
    assert len(panel) < 100_000
    assert "<h1 onclick=alert(1)>\\u202e" in read
    assert read.count("as a key") >= 2
    assert "unchanged: the turn failed" in read


def nasty_values() -> dict[str, Any]:
    """Return values to find where a message, a state or a journal record should be."""
    return {
        "a long string": "<b>" + "x" * BIG,
        "a long string of control characters": "\x00\u202e" * 500_000,
        "a long key": {"<b>" * 1_000_000: 1},
        "many keys": {f"{hostile.SCRIPT}{n}": n for n in range(50_000)},
        "many items": [hostile.ALL] * 50_000,
        "nested objects": hostile.nested(200),
        "deeper than Python recurses": deep(20_000),
        "a number": 10**300,
        "no number": float("nan"),
        "nothing": None,
        "a list": [1],
        "an empty object": {},
    }


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


def in_its_place(kind: RefKind, value: Any) -> Any:
    """Return a document of this kind that has `value` wherever a value may be."""
    if kind is RefKind.MESSAGE:
        return {
            "messageId": value,
            "actorId": value,
            "messageType": value,
            "correlationId": value,
            "payload": value,
            "metadata": {"sentAt": value, "sender": value, "more": value},
        }
    if kind is RefKind.ACTOR_STATE:
        return {"version": value, "state": value}
    if kind is RefKind.JOURNAL_ENTRY:
        frame = {"file": value, "line": value, "function": value, "code": value, "own": value}
        error = {"type": value, "message": value, "stack": [frame] * 30, "retryable": value}
        entry = {"type": "turn_failed", "name": value, "attempt": value, "error": error}
        return {"index": value, "at": value, "entries": [entry, value, {"error": value}]}
    return value


def answering(make: Callable[[Ref], Any]) -> Resolvers:
    async def load(refs: Sequence[Ref]) -> Mapping[Ref, Resolved]:
        return {ref: Resolved(ref, Outcome.LOADED, make(ref)) for ref in refs}

    return Resolvers({kind: Source(load) for kind in RefKind})


@pytest.mark.parametrize("what", list(nasty_values()))
async def test_whatever_is_found_where_a_reference_points_the_panel_stands(
    loom: Loom, client: AsyncClient, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    tree = await ran(loom, "bury")
    value = nasty_values()[what]
    for make in (lambda ref: in_its_place(ref.kind, value), lambda ref: value):
        monkeypatch.setattr(loom.reconstructor, "_resolvers", answering(make))
        for panel in panels(tree):
            for tab in TABS:
                where = f"{panel}?tab={tab}"
                began = time.monotonic()
                response = await client.get(where, headers=HTMX)
                assert response.status_code == 200, where
                check(text(response), f"{what}: {where}")
                assert time.monotonic() - began < 3, f"{what}: {where}"
            response = await client.get(f"{panel}refs/0/", headers=HTMX)
            if response.status_code == 200:
                check(text(response), f"{what}: {panel}refs/0/")


async def test_a_path_of_anything_is_an_answer_or_says_what_is_wrong(
    loom: Loom, client: AsyncClient
) -> None:
    tree = await ran(loom, "bury")
    span = next(span for span in tree.spans if span.name == "choke")
    version = next(ref.id for ref in span.refs() if ref.kind is RefKind.ACTOR_STATE)
    where = f"/traces/{tree.summary.trace_id}/spans/{span.span_id}/last-change/"
    for path in (*hostile.NASTY.values(), hostile.ALL, "$" + "[0]" * 600, '$["\\ud800"]', "\x00"):
        for headers in (HTMX, {}):
            response = await client.get(where, {"version": version, "path": path}, headers=headers)
            assert response.status_code == 200
            check(text(response), path)
