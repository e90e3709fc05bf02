"""Pausing an actor from its page, and letting it go on."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from actors import services
from actors.errors import InvalidMessage
from actors.message import address
from actors.pages.access import write_down
from actors.pages.workflows import may_run
from storage import StorageError


@require_POST
async def pause(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Let nothing more of the actor be handled; what it handles just now ends."""
    actor_id = await _may_act(request, actor_type, key)
    try:
        await services.current().runtime.pause(actor_id)
    except StorageError as error:
        messages.error(request, _unanswered(error, "pausing"))
    else:
        await write_down(request, actor_id, "paused")
        messages.success(request, "Paused: its messages wait, in order, until it is resumed.")
    return redirect("actors:actor", actor_type, key)


@require_POST
async def resume(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Let a paused actor go on; a turn that is parked is tried at once."""
    actor_id = await _may_act(request, actor_type, key)
    try:
        await services.current().runtime.resume(actor_id)
    except StorageError as error:
        messages.error(request, _unanswered(error, "resuming"))
    else:
        await write_down(request, actor_id, "resumed")
        messages.success(request, "Resumed.")
    return redirect("actors:actor", actor_type, key)


async def _may_act(request: HttpRequest, actor_type: str, key: str) -> str:
    try:
        actor_id = address(actor_type, key)
    except InvalidMessage as error:
        raise Http404(str(error)) from None
    if not await may_run(request):
        raise PermissionDenied("acting on actors needs the permission actors.run_workflows")
    return actor_id


def _unanswered(error: StorageError, doing: str) -> str:
    again = f"{doing.capitalize()} again is safe."
    return f"The queue does not answer ({type(error).__name__}). {again}"
