"""Saying something of a failure group: a note, that it is resolved, that it is not. All is kept."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from tracing.models import FailureRemark
from tracing.pages.acting import acts_from
from tracing.pages.group import Refused, show
from tracing.pages.groups import group_address, is_group
from tracing.pages.who import who_asks
from tracing.remarks import MAX_NOTE

_SAID = {
    FailureRemark.Kind.NOTE: "The note is saved.",
    FailureRemark.Kind.RESOLVED: "Marked as resolved. If it fails again, it will say that.",
    FailureRemark.Kind.REOPENED: "Opened again.",
}


@acts_from("tracing:failure-group")
async def remark(request: HttpRequest, fingerprint: str) -> HttpResponse:
    """Keep a remark of a `kind`; a note has `text`, and an empty one takes the last away."""
    user = await request.auser()
    if not await user.ahas_perm("tracing.triage_failures"):
        raise PermissionDenied("this needs the permission tracing.triage_failures")
    kind = request.POST.get("kind", "")
    if not is_group(fingerprint) or kind not in FailureRemark.Kind.values:
        raise Http404("no such group, or nothing that can be said of one")
    text = request.POST.get("text", "").strip() if kind == FailureRemark.Kind.NOTE else ""
    if len(text) > MAX_NOTE:
        said = f"A note takes {MAX_NOTE:,} characters; this has {len(text):,}. It is not saved."
        return await show(request, fingerprint, Refused(text, said))
    await FailureRemark.objects.acreate(
        fingerprint=fingerprint,
        kind=kind,
        text=text,
        user=await who_asks(request),
    )
    messages.success(request, _SAID[FailureRemark.Kind(kind)])
    return redirect(group_address(fingerprint))
