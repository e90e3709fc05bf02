"""Which actor a request is about, and what whoever asks may do."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest

from actors.errors import InvalidMessage
from actors.message import address


def asked_actor(actor_type: str, key: str) -> str:
    """Return the id of the actor that an address names.

    Raises:
        Http404: no actor can have that id.
    """
    try:
        return address(actor_type, key)
    except InvalidMessage as error:
        raise Http404(str(error)) from None


async def may_run(request: HttpRequest) -> bool:
    """Return whether whoever asks may start runs, and act on actors."""
    return await _has(request, "actors.run_workflows")


async def need_may_run(request: HttpRequest) -> None:
    """Raise `PermissionDenied` unless whoever asks may act on actors."""
    if not await may_run(request):
        raise PermissionDenied("acting on actors needs the permission actors.run_workflows")


async def may_resolve(request: HttpRequest) -> bool:
    """Return whether whoever asks may retry and discard dead letters."""
    return await _has(request, "actors.resolve_dead_letters")


async def need_may_resolve(request: HttpRequest) -> None:
    """Raise `PermissionDenied` unless whoever asks may retry and discard dead letters."""
    if not await may_resolve(request):
        raise PermissionDenied("this needs the permission actors.resolve_dead_letters")


async def may_see_payloads(request: HttpRequest) -> bool:
    """Return whether whoever asks may see payloads, states and errors' texts."""
    return await _has(request, "tracing.view_payloads")


async def _has(request: HttpRequest, permission: str) -> bool:
    user = await request.auser()
    return await user.ahas_perm(permission)
