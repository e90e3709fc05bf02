"""What the lists have in common: one page of a query, its neighbours, and what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from storage import InvalidQuery, StorageError

PAGE = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list a page is. The URLs keep the filters; None where there is no such page."""

    filtered: bool
    next_url: str | None
    first_url: str | None


def cursor_of(request: HttpRequest) -> str | None:
    """Return the cursor of the page that is asked for; None asks for the first."""
    return request.GET.get("cursor") or None


def place(request: HttpRequest, next_cursor: str | None) -> Place:
    """Return where the page is whose successor begins at `next_cursor`."""
    query = {key: value for key, value in request.GET.items() if value and key != "cursor"}
    return Place(
        filtered=bool(query),
        next_url=f"?{urlencode({**query, 'cursor': next_cursor})}" if next_cursor else None,
        first_url=f"?{urlencode(query)}" if cursor_of(request) else None,
    )


async def ask(query: Awaitable[T], empty: T) -> tuple[T, str | None]:
    """Return a query's page, or `empty` and what to tell a person."""
    try:
        return await query, None
    except InvalidQuery:
        return (
            empty,
            "This page of the list does not exist any more. Start again from the newest.",
        )
    except StorageError as error:
        return (
            empty,
            f"The trace store does not answer ({type(error).__name__}). Runs go on without it.",
        )


def render_list(request: HttpRequest, name: str, page: object) -> HttpResponse:
    """Render the page `name`, or for htmx only its table, the partial of the same name."""
    partial = request.htmx and not request.htmx.boosted  # type: ignore[attr-defined]
    template = f"tracing/{'_' if partial else ''}{name}.html"
    response = render(request, template, {"page": page})
    response["Vary"] = "HX-Request"
    return response
