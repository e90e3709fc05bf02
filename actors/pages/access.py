"""Writing down who looked at actors' data, and who did something to actors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.http import HttpRequest

from actors.errors import ActorError
from actors.models import ActorAccess
from tracing.pages.who import who_asks

UNKNOWN = ", outcome unknown"
MAX_ACTION = 120


@dataclass(slots=True)
class Act:
    """What somebody does to an actor, in the words of the log.

    Attributes:
        action: may be told more exactly once it is done.
        done: False when it turned out that there was nothing to do.
    """

    action: str
    done: bool = True


@asynccontextmanager
async def acting(request: HttpRequest, actor_id: str, action: str) -> AsyncIterator[Act]:
    """Note what whoever asks does to an actor within the block.

    It is noted before it is done, with an outcome that is not known. So it stays when no answer
    comes, or when the process ends meanwhile. What an `ActorError` refuses is not done, and not
    kept.
    """
    access = await ActorAccess.objects.acreate(
        user=await who_asks(request), actor_id=actor_id, action=unknown(action)
    )
    act = Act(action)
    try:
        yield act
    except ActorError:
        await access.adelete()
        raise
    if act.done:
        access.action = act.action[:MAX_ACTION]
        await access.asave(update_fields=["action"])
    else:
        await access.adelete()


def unknown(action: str) -> str:
    """Return how an act is noted of which nobody can tell whether it was done."""
    return f"{action[: MAX_ACTION - len(UNKNOWN)]}{UNKNOWN}"


async def write_down(request: HttpRequest, actor_id: str, action: str) -> None:
    """Note that whoever asks did this to an actor."""
    await write_down_all(request, [(actor_id, action)])


async def write_down_all(request: HttpRequest, done: Sequence[tuple[str, str]]) -> None:
    """Note several things at once: actors, and what was done to each."""
    user = await who_asks(request)
    await ActorAccess.objects.abulk_create(
        ActorAccess(user=user, actor_id=actor_id, action=action) for actor_id, action in done
    )
