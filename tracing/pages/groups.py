"""Failures that are alike, counted: above the list of failures, and on the front page."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from tracing import services
from tracing.analytics import FailureGroup
from tracing.pages.listing import ask
from tracing.pages.ranges import LONGEST, chosen, in_words, until
from tracing.remarks import Remarks, remarks_on

SHOWN = 12
_IN_ADDRESS = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group, its page, the query that lists its failures, and what people said of it."""

    group: FailureGroup
    address: str
    query: str
    remarks: Remarks

    @property
    def came_back(self) -> bool:
        """Whether it has failed since somebody resolved it."""
        return self.remarks.came_back(self.group.last_ns)


@dataclass(frozen=True, slots=True)
class GroupList:
    """What the partial shows: the latest groups, or the facts of the one that is asked for.

    Attributes:
        more: how many groups there are besides.
        range: the time range in words.
        fingerprint: of the group that is asked for; "" asks for all.
    """

    rows: list[GroupRow]
    more: int
    range: str
    fingerprint: str
    problem: str | None

    @property
    def only(self) -> GroupRow | None:
        """The group that is asked for, if it failed in the time range."""
        return self.rows[0] if self.fingerprint and self.rows else None


@dataclass(frozen=True, slots=True)
class GroupsPage:
    """What the template shows of the partial alone."""

    groups: GroupList


@require_GET
async def groups(request: HttpRequest) -> HttpResponse:
    """Show the groups alone, for a page whose filters have changed."""
    page = GroupsPage(await group_list(request.GET))
    return render(request, "tracing/_groups.html", {"page": page})


async def group_list(query: Mapping[str, Any]) -> GroupList:
    """Return the groups that the filters of the list of failures leave."""
    wanted = {name: str(query.get(name) or "").strip() for name in ("error", "type", "fingerprint")}
    since = chosen(str(query.get("since") or ""), LONGEST)
    found, problem = await ask(_groups(since), [])
    kept = [
        group
        for group in found
        if wanted["error"] in ("", group.error_type)
        and wanted["type"] in ("", group.actor_type)
        and wanted["fingerprint"] in ("", group.fingerprint)
    ]
    shown = kept[:SHOWN]
    if problem is None:
        shown, problem = await ask(services.current().analytics.with_first_seen(shown), shown)
    return GroupList(
        rows=await group_rows(shown, str(query.get("since") or "")),
        more=len(kept) - len(shown),
        range=in_words(since),
        fingerprint=wanted["fingerprint"],
        problem=problem,
    )


async def group_rows(found: list[FailureGroup], since: str) -> list[GroupRow]:
    """Return the groups as rows that lead to their failures of a time range."""
    return rows_of(found, since, await remarks_on([group.fingerprint for group in found]))


def rows_of(
    found: list[FailureGroup], since: str, remarks: Mapping[str, Remarks]
) -> list[GroupRow]:
    """Return the groups as rows, with what people have said of them, by fingerprint."""
    kept = {"since": since} if since else {}
    return [
        GroupRow(
            group,
            group_address(group.fingerprint, since),
            urlencode({"fingerprint": group.fingerprint, **kept}),
            remarks.get(group.fingerprint, Remarks()),
        )
        for group in found
    ]


def group_address(fingerprint: str, since: str = "") -> str:
    """Return the page of a failure group; of one that cannot have any, the list of its failures."""
    kept = {"since": since} if since else {}
    if not is_group(fingerprint):
        query = urlencode({"fingerprint": fingerprint, **kept})
        return f"{reverse('tracing:failures')}?{query}"
    address = reverse("tracing:failure-group", args=[fingerprint])
    return f"{address}?{urlencode(kept)}" if kept else address


def is_group(fingerprint: str) -> bool:
    """Return whether a page can be named after this fingerprint; those of other systems may not."""
    return bool(_IN_ADDRESS.match(fingerprint)) and fingerprint != "groups"


async def _groups(since: str) -> list[FailureGroup]:
    statistics = await services.current().analytics.statistics(*until(since, time.time_ns()))
    return statistics.groups
