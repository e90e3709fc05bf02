"""Writing down who looked at actors' data, and who did something to actors."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest

from actors.models import ActorAccess
from tracing.pages.who import who_asks


async def write_down(request: HttpRequest, actor_id: str, action: str) -> None:
    """Note that whoever asks did this to an actor."""
    await write_down_all(request, [(actor_id, action)])


async def write_down_all(request: HttpRequest, done: Sequence[tuple[str, str]]) -> None:
    """Note several things at once: actors, and what was done to each."""
    user = await who_asks(request)
    await ActorAccess.objects.abulk_create(
        ActorAccess(user=user, actor_id=actor_id, action=action) for actor_id, action in done
    )
