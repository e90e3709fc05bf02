"""Pausing an actor from its page, and letting it go on."""

from __future__ import annotations

import time

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from actors import services
from actors.pages.access import acting
from actors.pages.asking import asked_actor, need_may_run
from storage import StorageError


@require_POST
async def pause(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Let nothing more of the actor be handled; what it handles just now ends."""
    actor_id = asked_actor(actor_type, key)
    await need_may_run(request)
    try:
        async with acting(request, actor_id, "paused"):
            await services.current().runtime.pause(actor_id)
    except StorageError as error:
        messages.error(request, f"{_unanswered(error)} Pausing again is safe.")
    else:
        messages.success(request, "Paused: its messages wait, in order, until it is resumed.")
    return redirect("actors:actor", actor_type, key)


@require_POST
async def resume(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Let a paused actor go on; a turn that is parked is tried at once."""
    actor_id = asked_actor(actor_type, key)
    await need_may_run(request)
    try:
        async with acting(request, actor_id, "resumed"):
            await services.current().runtime.resume(actor_id)
    except StorageError as error:
        messages.error(request, f"{_unanswered(error)} Resuming again is safe.")
    else:
        messages.success(request, "Resumed.")
    # It goes on meanwhile, with messages that may be old: the page is to look again.
    page = reverse("actors:actor", args=[actor_type, key])
    return redirect(f"{page}?acted={int(time.time())}")


def _unanswered(error: StorageError) -> str:
    return f"The queue does not answer ({type(error).__name__})."
