"""One actor: its state, what its turn waits for, and sending that event or cancelling the turn."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from actors import services
from actors.errors import ActorError
from actors.holdup import Hold
from actors.inbox import CANCEL
from actors.inspect import ActorLook, Line
from actors.pages.access import acting, write_down
from actors.pages.actor_parts import Parts, TurnLine, parts_of, turns_of
from actors.pages.asking import asked_actor, may_run, may_see_payloads, need_may_run
from actors.pages.payload import json_object
from actors.queues.port import MailboxState
from actors.waiting import Wait
from storage import StorageError
from tracing.pages.acting import acts_from
from tracing.pages.ranges import DEFAULT, chosen

FRESH_US = 20_000_000
"""How long after an event was sent, or a turn went on, the page looks again by itself."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A button: its label, and the payload that it sends as JSON."""

    label: str
    payload: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent and is not taken yet."""

    name: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class WaitShown:
    """A wait. `sent` is the event that will end it; `text` and `problem` come back from a form.

    Attributes:
        takes_event: whether a person can end it.
    """

    wait: Wait
    takes_event: bool
    sent: Sent | None
    offers: list[Offered]
    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class ActorPage:
    """What the template shows. `problem` says why the actor cannot be shown.

    Attributes:
        lines: the journal entries that are shown, newest first; `turns` those that they tell of.
        before: index that they come before; None for the last ones.
        since: the time range of the pages that link here.
    """

    actor_type: str
    key: str
    actor_id: str
    traces: str
    since: str = DEFAULT
    look: ActorLook | None = None
    parts: Parts | None = None
    lines: list[Line] = field(default_factory=list)
    turns: list[TurnLine] = field(default_factory=list)
    before: int | None = None
    waits: tuple[WaitShown, ...] = ()
    unclaimed: tuple[Sent, ...] = ()
    cancelling: bool = False
    refresh: bool = False
    may_see: bool = False
    may_run: bool = False
    may_audit: bool = False
    problem: str = ""
    nav: str = "actors"

    @property
    def older(self) -> int | None:
        """The index before which older entries are; None where there are none, or all expired."""
        first = self.lines[-1].index if self.lines else 0
        return first or None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody tried to send, to be shown again with what is wrong with it."""

    wait: str
    text: str
    problem: str
    status: int = 422


@never_cache
@require_GET
async def actor(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Show an actor; `?download=1` gives its state as a JSON file.

    `?before=` shows older journal entries; with htmx, those alone.
    """
    actor_id = asked_actor(actor_type, key)
    if request.GET.get("download") == "1":
        with contextlib.suppress(StorageError):
            return await _download(request, actor_id)
    return await _show(request, actor_type, key)


@acts_from("actors:actor")
async def send_event(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Send the event that a turn waits for. What is sent first to one wait counts."""
    actor_id = asked_actor(actor_type, key)
    await need_may_run(request)
    asked, text = request.POST.get("wait", ""), request.POST.get("payload", "")
    try:
        look = await services.current().inspector.look(actor_id)
        wait = next((wait for wait in look.waits if wait.id == asked), None)
        if wait is None or not _takes_event(wait):
            messages.warning(request, "The turn no longer waits for this. Nothing was sent.")
            return redirect("actors:actor", actor_type, key)
        payload = json_object(text)
        async with acting(request, actor_id, f"sent the event {wait.event} to") as act:
            act.done = await services.current().runtime.send_event(
                actor_id, str(wait.event), payload, event_id=f"sent-{wait.id}"
            )
    except ActorError as error:
        attempt = Attempt(asked, text, f"{error}. Nothing was sent.")
        return await _show(request, actor_type, key, attempt)
    except StorageError as error:
        attempt = Attempt(asked, text, f"{_unanswered(error)} Sending it again is safe.", 503)
        return await _show(request, actor_type, key, attempt)
    if act.done:
        messages.success(request, f"{wait.event} was sent.")
    else:
        messages.warning(request, f"{wait.event} had been sent before; that one counts.")
    return redirect("actors:actor", actor_type, key)


@require_POST
async def cancel(request: HttpRequest, actor_type: str, key: str) -> HttpResponse:
    """Cancel the turn that waits."""
    actor_id = asked_actor(actor_type, key)
    await need_may_run(request)
    try:
        async with acting(request, actor_id, "cancelled") as act:
            act.done = await services.current().runtime.cancel(
                actor_id, request.POST.get("reason", "").strip()
            )
    except StorageError as error:
        messages.error(request, f"{_unanswered(error)} Cancelling again is safe.")
        return redirect("actors:actor", actor_type, key)
    if act.done:
        messages.success(request, "The turn is being cancelled.")
    else:
        messages.warning(request, "No turn waits, or it is being cancelled already.")
    return redirect("actors:actor", actor_type, key)


async def _show(
    request: HttpRequest, actor_type: str, key: str, attempt: Attempt | None = None
) -> HttpResponse:
    user = await request.auser()
    actor_id = asked_actor(actor_type, key)
    traces = f"{reverse('tracing:traces')}?{urlencode({'actor': actor_id})}"
    since = chosen(request.GET.get("since", ""), DEFAULT)
    before = _index(request.GET.get("before", ""))
    may_see = await may_see_payloads(request)
    inspector = services.current().inspector
    try:
        look, parts = await asyncio.gather(
            inspector.look(actor_id), parts_of(actor_id, since, may_see=may_see)
        )
        lines = look.lines
        if before is not None and may_see:
            lines = await inspector.older(actor_id, min(before, look.state.version))
    except StorageError as error:
        problem = attempt.problem if attempt else _unanswered(error)
        page = ActorPage(actor_type, key, actor_id, traces, since, problem=problem)
        return render(request, "actors/actor.html", {"page": page}, status=503)
    if not look.is_known and not parts.letters:
        raise Http404("nothing was ever sent to this actor")
    if may_see:
        await write_down(request, actor_id, "looked at")
    waited_for = {wait.event for wait in look.waits}
    lost = attempt is not None and all(attempt.wait != wait.id for wait in look.waits)
    page = ActorPage(
        actor_type,
        key,
        actor_id,
        traces,
        since,
        look=look,
        parts=parts,
        lines=lines,
        turns=turns_of(lines),
        before=before,
        waits=tuple(_shown(wait, look, attempt) for wait in look.waits),
        unclaimed=tuple(
            Sent(event.name, event.at_us * 1000)
            for event in look.inbox
            if event.name not in (*waited_for, CANCEL)
        ),
        cancelling=look.turn is not None
        and any(e.name == CANCEL and e.payload.get("message") == look.turn for e in look.inbox),
        refresh=attempt is None and _is_moving(look, parts, _index(request.GET.get("acted", ""))),
        may_see=may_see,
        may_run=await may_run(request),
        may_audit=await user.ahas_perm("tracing.view_audit"),
        problem=attempt.problem if attempt is not None and lost else "",
    )
    status = 200 if attempt is None else attempt.status
    if before is not None and request.htmx:  # type: ignore[attr-defined]
        return render(request, "actors/_journal.html", {"page": page})
    response = render(request, "actors/actor.html", {"page": page}, status=status)
    response["Vary"] = "HX-Request"
    return response


def _shown(wait: Wait, look: ActorLook, attempt: Attempt | None) -> WaitShown:
    mine = attempt is not None and attempt.wait == wait.id
    return WaitShown(
        wait,
        _takes_event(wait),
        next((Sent(e.name, e.at_us * 1000) for e in look.inbox if e.name == wait.event), None),
        [
            Offered(offer.label, msgspec.json.encode(offer.payload).decode())
            for workflow in services.current().workflows.values()
            if workflow.actor_type == look.actor_id.partition("/")[0]
            for offer in workflow.events
            if offer.name == wait.event
        ],
        attempt.text if attempt is not None and mine else "{}",
        attempt.problem if attempt is not None and mine else "",
    )


async def _download(request: HttpRequest, actor_id: str) -> HttpResponse:
    if not await may_see_payloads(request):
        raise PermissionDenied
    look = await services.current().inspector.look(actor_id)
    if not look.is_known:
        raise Http404("nothing was ever sent to this actor")
    await write_down(request, actor_id, "downloaded the state of")
    state = {"actor": actor_id, "version": look.state.version, "state": look.state.data}
    response = HttpResponse(
        msgspec.json.format(msgspec.json.encode(state), indent=2), content_type="application/json"
    )
    response["Content-Disposition"] = 'attachment; filename="actor-state.json"'
    return response


def _index(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _takes_event(wait: Wait) -> bool:
    return wait.event is not None and not wait.is_call


def _is_moving(look: ActorLook, parts: Parts, acted: int | None) -> bool:
    """Whether an event was just sent to the turn under way, or a turn just began or went on.

    `acted` is when somebody let the actor go on, in seconds since the epoch.
    """
    now_us = time.time_ns() // 1000
    lately: list[int] = []
    if look.turn is not None:
        lately += [event.at_us for event in look.inbox]
    runs = parts.row is not None and parts.row.state is MailboxState.RUNNING
    if runs or (look.turn is not None and not look.waits):
        lately += [line.at_us for line in look.lines[:1]]
    if runs and parts.row is not None:
        lately.append(parts.row.since_ns // 1000)
    ready = parts.row is not None and parts.row.holdup.by is Hold.WORKER
    # Not for ever, where an address names a time to come.
    if acted is not None and acted * 1_000_000 <= now_us and (runs or ready):
        lately.append(acted * 1_000_000)
    return max(lately, default=0) > now_us - FRESH_US


def _unanswered(error: StorageError) -> str:
    return f"The store or queue does not answer ({type(error).__name__})."
