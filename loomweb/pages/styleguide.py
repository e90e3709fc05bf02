"""The style guide, for whoever works on Loom: on this machine alone, or with `LOOM_DEBUG=1`."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from loomweb.config import Config
from loomweb.styleguide.section import Section
from loomweb.styleguide.sections import Guide
from loomweb.styleguide.tokens import TokenGroup, token_groups


@dataclass(frozen=True, slots=True)
class StyleGuidePage:
    """What the template shows."""

    tokens: list[TokenGroup]
    sections: list[Section]
    nav: str = "styleguide"


@require_GET
def styleguide(request: HttpRequest) -> HttpResponse:
    """Show every token and every component in every state.

    Raises:
        Http404: others than whoever sits at this machine can reach it, and it is not debugged.
    """
    config: Config = settings.CONFIG
    if config.require_login and not config.debug:
        raise Http404("the style guide is for development")
    page = StyleGuidePage(token_groups(), Guide(request).sections())
    return render(request, "loomweb/styleguide.html", {"page": page})
