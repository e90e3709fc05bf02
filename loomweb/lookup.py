"""Where an id leads: one box takes those of traces, messages, actors, runs and documents."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from actors.archive import MESSAGE_ARCHIVE
from actors.deadletters import DEAD_LETTERS
from actors.errors import InvalidMessage
from actors.message import address
from loomweb.wiring import Loom
from tracing import TraceFilter

LONGEST = 300
"""Characters of an id that are looked at."""
_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")
_HELD = re.compile(r"(?P<container>[a-z][a-z-]*)/(?P<id>[^/\\?#\s]+)\Z")


async def lead(loom: Loom, asked: str) -> str | None:
    """Return the address of what has this id, or None when nothing has.

    Documents go by "container/id", as they are named beside a trace, with the actor before it where
    several actors have a document of that id.

    Raises:
        storage.StorageError: a store does not answer.
    """
    actor, _, rest = asked.rpartition(" ")
    held = _HELD.match(rest)
    if held and held["container"] in loom.containers:
        by_message = held["container"] in (MESSAGE_ARCHIVE.name, DEAD_LETTERS.name)
        return await _message(loom, held["id"]) if by_message else await actor_page(loom, actor)
    if "/" in asked:
        return await actor_page(loom, asked)
    if _TRACE_ID.match(asked.lower()) and await loom.reader.state(asked.lower()) is not None:
        return reverse("tracing:trace", args=[asked.lower()])
    found = await _message(loom, asked) or await _run(loom, asked)
    if found is None and _TRACE_ID.match(asked.lower()):
        # Of a trace that another system recorded there is no summary; its page reads its events.
        return reverse("tracing:trace", args=[asked.lower()])
    return found


async def actor_page(loom: Loom, actor_id: str) -> str | None:
    """Return the address of an actor, or of the traces that began with it; None for neither.

    Raises:
        storage.StorageError: a store does not answer.
    """
    actor_type, _, key = actor_id.partition("/")
    try:
        look = await loom.inspector.look(address(actor_type, key))
        if look.is_known:
            return reverse("actors:actor", args=[actor_type, key])
    except (InvalidMessage, NoReverseMatch):
        return None
    if (await loom.reader.find_traces(TraceFilter(actor=actor_id), limit=1)).traces:
        return f"{reverse('tracing:traces')}?{urlencode({'actor': actor_id})}"
    return None


async def _message(loom: Loom, message_id: str) -> str | None:
    found = await loom.messages.find(message_id)
    if found is None:
        return None
    if found.trace_id is not None and await loom.reader.state(found.trace_id) is not None:
        query = urlencode({"span": found.span_id})
        return f"{reverse('tracing:trace', args=[found.trace_id])}?{query}"
    return await actor_page(loom, found.actor_id)


async def _run(loom: Loom, correlation: str) -> str | None:
    found = await loom.reader.find_traces(TraceFilter(correlation=correlation), limit=2)
    if len(found.traces) == 1:
        return reverse("tracing:trace", args=[found.traces[0].trace_id])
    if found.traces:
        return f"{reverse('tracing:traces')}?{urlencode({'actor': correlation})}"
    return None
