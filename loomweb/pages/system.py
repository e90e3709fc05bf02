"""The System page: all workers, and this process's queue, trace writer, store and versions."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from actors.presence import CLOCK_SECONDS
from loomweb import wiring
from loomweb.wiring import SystemReport
from storage import StorageError


@dataclass(frozen=True, slots=True)
class SystemPage:
    """What the template shows."""

    report: SystemReport | None
    problems: list[str]
    nav: str = "system"
    clock_seconds: int = CLOCK_SECONDS


@require_GET
async def system(request: HttpRequest) -> HttpResponse:
    """Show the process as it is now."""
    loom = wiring.current()
    problems = await loom.ready()
    try:
        report = await loom.system()
    except StorageError as error:
        report = None
        problems.append(str(error))
    return render(request, "loomweb/system.html", {"page": SystemPage(report, problems)})
