"""Who looked at payloads, latest first."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tracing.models import PayloadAccess

PAGE = 100


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What the template shows; `before` asks for what is older."""

    looks: list[PayloadAccess]
    before: int | None
    nav: str = "audit"


@require_GET
async def audit(request: HttpRequest) -> HttpResponse:
    """Show the audit log; needs the permission `tracing.view_audit`."""
    user = await request.auser()
    if not await user.ahas_perm("tracing.view_audit"):
        raise PermissionDenied
    looks = PayloadAccess.objects.all()
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 18:
        looks = looks.filter(id__lt=int(before))
    found = [look async for look in looks[: PAGE + 1]]
    more = found[PAGE - 1].pk if len(found) > PAGE else None
    return render(request, "tracing/audit.html", {"page": AuditPage(found[:PAGE], more)})
