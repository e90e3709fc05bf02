"""The registry of events as a page: what a trace may consist of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tracing.event import RefKind
from tracing.event_docs import ATTRIBUTES, REFS, Group, groups
from tracing.registry import REGISTRY, Attribute


@dataclass(frozen=True, slots=True)
class EventsPage:
    """What the template shows."""

    count: int
    groups: Sequence[Group]
    refs: Mapping[RefKind, str]
    attributes: Mapping[Attribute, str]
    nav: str = "system"


@require_GET
async def events(request: HttpRequest) -> HttpResponse:
    """Show every event type with its references and attributes."""
    page = EventsPage(len(REGISTRY), groups(), REFS, ATTRIBUTES)
    return render(request, "tracing/events.html", {"page": page})
