"""Who looked at actors, and who acted on them, latest first."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from actors.models import ActorAccess

PAGE = 100


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One line of the log, with the address of the actor's page."""

    access: ActorAccess
    address: str


@dataclass(frozen=True, slots=True)
class ActorAuditPage:
    """What the template shows; `before` asks for what is older."""

    rows: list[AccessRow]
    before: int | None
    nav: str = "audit"


@require_GET
async def audit(request: HttpRequest) -> HttpResponse:
    """Show the log; needs the permission `tracing.view_audit`."""
    user = await request.auser()
    if not await user.ahas_perm("tracing.view_audit"):
        raise PermissionDenied
    found = ActorAccess.objects.all()
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 18:
        found = found.filter(id__lt=int(before))
    accesses = [access async for access in found[: PAGE + 1]]
    rows = [
        AccessRow(access, reverse("actors:actor", args=access.actor_id.split("/", 1)))
        for access in accesses[:PAGE]
    ]
    more = accesses[PAGE - 1].pk if len(accesses) > PAGE else None
    return render(request, "actors/audit.html", {"page": ActorAuditPage(rows, more)})
