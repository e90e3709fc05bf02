"""The style guide draws every component, and the style sheets keep to its tokens."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import accumulate

import pytest
from django.conf import settings
from django.test import AsyncClient

from tests.cosmos_server import ROOT
from tests.web.conftest import text
from tracing import Outcome, TraceStatus
from tracing.pages.subject import LABELS

SHEETS = sorted((ROOT / "static" / "css").glob("*.css"))
TOKENS = (ROOT / "static" / "css" / "tokens.css").read_text()


def rules(sheet: str) -> str:
    return re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)


async def test_every_component_is_shown_in_every_state(client: AsyncClient) -> None:
    page = text(await client.get("/styleguide/"))
    for outcome in Outcome:
        assert f'class="chip {outcome.value}"' in page
    assert 'class="chip ask htmx-request"' in page
    for status in (*TraceStatus, "retrying", "dead_lettered"):
        assert f'class="status {status}"' in page
    for tab in LABELS:
        assert f'role="tabpanel" tabindex="0" aria-label="{tab}"' in page
    for number in range(20):
        assert f'class="pill c{number}"' in page
    for bar in ("waiting", "handling", "backoff", "open"):
        assert f'<rect class="{bar}"' in page
    for mark in ("own", "below"):
        assert f'class="mark {mark}"' in page
    for parked in (
        "code that takes the path which its journal records",
        "a worker with the version of the code that it began with",
        "Expected, by the journal",
        "Found, in today's code",
        "Nothing more.",
        "Nothing: the handler ended.",
    ):
        assert parked in page
    for button in ("Pause", "Resume", "Try it now"):
        assert f">{button}</button>" in page
    for turn in ("It is paused", "and nobody takes it", "A turn runs", "The worker that took"):
        assert turn in page
    for worker in (">silent<", ">this process<", "No worker was heard from", "another version of"):
        assert worker in page
    for time in ("data-ago", "data-clock", "data-until", "data-due", "data-zone-name"):
        assert f" {time}" in page
    assert '<mask id="hatched"' in page
    assert 'class="newer-pill"' in page
    for token in re.findall(r"^  (--[a-z0-9-]+):", TOKENS, re.M):
        assert f"<code>{token}</code>" in page
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("name", ["warn", "tag"])
def test_what_every_page_may_use_is_in_a_sheet_of_every_page(name: str) -> None:
    base = (ROOT / "templates" / "base.html").read_text()
    of_all = set(re.findall(r"css/([a-z]+\.css)", base))
    drawn = {
        sheet.name
        for sheet in SHEETS
        if re.search(rf"^\.{name} {{", rules(sheet.read_text()), re.M)
    }
    assert drawn & of_all


@pytest.mark.parametrize(("debug", "login", "shown"), [(0, 0, 1), (1, 1, 1), (0, 1, 0), (1, 0, 1)])
async def test_it_is_there_for_development_alone(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch, debug: int, login: int, shown: int
) -> None:
    config = replace(settings.CONFIG, debug=bool(debug), require_login=bool(login))
    monkeypatch.setattr(settings, "CONFIG", config)
    assert (await client.get("/styleguide/")).status_code == (200 if shown else 404)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_a_style_sheet_names_tokens_and_no_values_of_its_own(sheet: object) -> None:
    css = rules(sheet.read_text())  # type: ignore[attr-defined]
    assert "!important" not in css
    depths = list(accumulate((char == "{") - (char == "}") for char in css))
    assert min(depths) == depths[-1] == 0
    physical = r"(?:^|[{;\s])((?:margin|padding|border)-(?:left|right|top|bottom)|left|right|top"
    assert re.findall(physical + r"|bottom|width|max-width|min-width)\s*:", css) == []
    known = set(re.findall(r"(--[a-z0-9-]+):", css)) | set(re.findall(r"(--[a-z0-9-]+):", TOKENS))
    assert set(re.findall(r"var\((--[a-z0-9-]+)", css)) - known == set()
    if sheet.name != "tokens.css":  # type: ignore[attr-defined]
        assert re.findall(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)a?\(", css) == []
        assert re.findall(r"font(?:-size)?:\s*(?:[\w().-]+ )?[\d.]+(?:px|rem)", css) == []
        assert re.findall(r"radius:[^;]*\dpx", css) == []
        assert re.findall(r"(?:animation|transition):[^;]*\dm?s\b", css) == []
