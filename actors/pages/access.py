"""Writing down who looked at actors' data, and who did something to actors."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest

from actors.models import ActorAccess


async def name_of(request: HttpRequest) -> str:
    """Return the name by which the log knows whoever asks."""
    user = await request.auser()
    return user.get_username() or getattr(user, "username", "")


async def write_down(request: HttpRequest, actor_id: str, action: str) -> None:
    """Note that whoever asks did this to an actor."""
    await write_down_all(request, [(actor_id, action)])


async def write_down_all(request: HttpRequest, done: Sequence[tuple[str, str]]) -> None:
    """Note several things at once: actors, and what was done to each."""
    user = await name_of(request)
    await ActorAccess.objects.abulk_create(
        ActorAccess(user=user, actor_id=actor_id, action=action) for actor_id, action in done
    )
