"""What somebody may have meant who typed a part of an id, or a name in another case.

Asked after nothing had the id as it was typed. Every question is a range of an index, or a look at
one actor of each type that is known.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from django.urls import reverse

from loomweb.lookup import actor_page, lead
from loomweb.wiring import Loom

LEAST = 6
"""Characters of an id that tell enough to look for the rest. Pages show the first eight, and of a
trace's, which begins with the time, fourteen."""
MOST = 8
"""Things of a kind that are offered."""
_BEGINNING = re.compile(rf"[0-9A-Za-z_.:-]{{{LEAST},200}}\Z")
_CUT = re.compile(r"(…|\.\.\.)\Z")


@dataclass(frozen=True, slots=True)
class Guess:
    """Something that may have been meant: what it is, its whole id, and its page."""

    kind: str
    id: str
    address: str


async def guesses(loom: Loom, asked: str) -> list[Guess]:
    """Return what may have been meant, each page once; empty when nothing comes near.

    Raises:
        storage.StorageError: a store does not answer.
    """
    asked = _CUT.sub("", asked)
    actor_type, slash, key = asked.partition("/")
    types = await _types(loom)
    if slash:
        alike = [name for name in types if name.casefold() == actor_type.casefold()]
        found = await _actors(loom, [f"{name}/{key}" for name in alike])
    else:
        found = [
            Guess("actor type", name, reverse("actors:actor-type", args=[name]))
            for name in types
            if name.casefold() == asked.casefold()
        ]
        found += await _actors(loom, [f"{name}/{asked}" for name in types])
        if _BEGINNING.match(asked):
            found += await _beginning(loom, asked)
    return list({guess.address: guess for guess in reversed(found)}.values())[::-1]


async def _types(loom: Loom) -> list[str]:
    """Return the types that this process serves, and those that have messages in the queue."""
    queued = await loom.watch.tally()
    served = (kind.type_name() for kind in loom.served.actor_types)
    return sorted({*served, *(tally.actor_type for tally in queued)})


async def _actors(loom: Loom, ids: list[str]) -> list[Guess]:
    pages = await asyncio.gather(*(actor_page(loom, id) for id in ids))
    return [Guess("actor", id, page) for id, page in zip(ids, pages, strict=True) if page][:MOST]


async def _beginning(loom: Loom, prefix: str) -> list[Guess]:
    # Ids that Loom makes are in lower case; those of others are as they are.
    prefixes = dict.fromkeys((prefix, prefix.lower()))
    found: list[Guess] = []
    messages: dict[str, None] = {}
    for each in prefixes:
        for trace in await loom.reader.find_by_prefix(each, limit=MOST):
            if trace.trace_id.startswith(each):
                address = reverse("tracing:trace", args=[trace.trace_id])
                found.append(Guess("trace", trace.trace_id, address))
            elif trace.correlation is not None:
                messages[trace.correlation] = None
        messages |= dict.fromkeys(await loom.messages.beginning_with(each))
    for id in list(messages)[:MOST]:
        page = await lead(loom, id)
        if page is not None:
            found.append(Guess("message", id, page))
    return found
