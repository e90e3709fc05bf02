"""One dead letter: why its message was given up, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from actors import services
from actors.deadletters import DeadLetter
from actors.errors import ActorError, InvalidMessage, LetterGone, LetterResolved
from actors.pages.access import acting, write_down
from actors.pages.asking import asked_actor, may_resolve, may_see_payloads, need_may_resolve
from actors.pages.forms import FieldHint, field_hints
from actors.pages.letter_rows import LetterRow, in_words, letter_address
from actors.pages.letter_rows import with_fates as rows_of
from actors.pages.payload import editable, json_object
from storage import StorageError
from tracing.pages.acting import acts_from
from tracing.pages.groups import group_address
from tracing.pages.who import who_asks

MAX_EDITED = 200_000
"""Characters of a payload that can be edited on a page."""


@dataclass(frozen=True, slots=True)
class Editor:
    """The payload as text, what is wrong with it, and what its handler takes."""

    text: str
    problem: str = ""
    hints: list[FieldHint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LetterPage:
    """What the template shows.

    Attributes:
        panel: where the details of the failed span are loaded; "" when it was not traced.
        origin: the dead letter that this message was a retry of.
        group: the page of its failure group.
        editor: only while somebody edits the payload.
        cannot_edit: why nobody can.
        problem: what went wrong with what was asked for.
    """

    actor_type: str
    key: str
    row: LetterRow
    panel: str
    origin: str
    group: str
    editor: Editor | None
    cannot_edit: str
    may_resolve: bool
    may_see: bool
    reason: str = ""
    problem: str = ""
    nav: str = "dead-letters"


@dataclass(frozen=True, slots=True)
class UnreadPage:
    """What the template shows when the dead letter cannot be read."""

    problem: str
    nav: str = "dead-letters"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody tried, to be shown again with what is wrong with it."""

    problem: str
    reason: str = ""
    text: str | None = None
    status: int = 422


@never_cache
@require_GET
async def dead_letter(
    request: HttpRequest, actor_type: str, key: str, message_id: str
) -> HttpResponse:
    """Show a dead letter; `?edit=1` opens its payload in a text field, and is written down."""
    return await _show(request, actor_type, key, message_id)


@acts_from("actors:dead-letter")
async def retry(request: HttpRequest, actor_type: str, key: str, message_id: str) -> HttpResponse:
    """Send the message again; with a `payload`, that instead of its own."""
    actor_id = await _may_act(request, actor_type, key)
    text = request.POST.get("payload")
    reason = request.POST.get("reason", "")
    if text is not None and not await may_see_payloads(request):
        raise PermissionDenied("editing a payload needs the permission tracing.view_payloads")
    by = await who_asks(request)
    try:
        payload = None if text is None else _typed(text)
        action = f"retried the dead letter {message_id[:40]}"
        async with acting(request, actor_id, action) as act:
            sent = await services.current().redrive.retry(
                actor_id, message_id, by=by, reason=reason, payload=payload
            )
            edited = sent.resolution is not None and sent.resolution.edited
            how = " with another payload" if edited else ""
            act.action += how
    except (LetterResolved, LetterGone) as error:
        return _nothing_done(request, actor_id, message_id, error)
    except ActorError as error:
        said = in_words(error, may_see=await may_see_payloads(request))
        attempt = Attempt(f"{said}. Nothing was sent.", reason, text)
        return await _show(request, actor_type, key, message_id, attempt)
    except StorageError as error:
        attempt = Attempt(_unanswered(error), reason, text, 503)
        return await _show(request, actor_type, key, message_id, attempt)
    decided = "" if sent.resolution is None or sent.resolution.by == by else sent.resolution.by
    messages.success(
        request, f"Sent again, as {decided} had decided." if decided else f"Sent again{how}."
    )
    return redirect(letter_address(actor_id, message_id))


@acts_from("actors:dead-letter")
async def discard(request: HttpRequest, actor_type: str, key: str, message_id: str) -> HttpResponse:
    """Let the message go; takes a reason."""
    actor_id = await _may_act(request, actor_type, key)
    reason = request.POST.get("reason", "")
    try:
        async with acting(request, actor_id, f"discarded the dead letter {message_id[:40]}"):
            await services.current().redrive.discard(
                actor_id, message_id, by=await who_asks(request), reason=reason
            )
    except InvalidMessage as error:
        return await _show(request, actor_type, key, message_id, Attempt(f"{error}."))
    except (LetterResolved, LetterGone) as error:
        return _nothing_done(request, actor_id, message_id, error)
    except StorageError as error:
        attempt = Attempt(_unanswered(error), reason, status=503)
        return await _show(request, actor_type, key, message_id, attempt)
    messages.success(request, "Discarded.")
    return redirect(letter_address(actor_id, message_id))


async def _show(
    request: HttpRequest,
    actor_type: str,
    key: str,
    message_id: str,
    attempt: Attempt | None = None,
) -> HttpResponse:
    actor_id = asked_actor(actor_type, key)
    try:
        letter = await services.current().redrive.get(actor_id, message_id)
    except StorageError as error:
        unread = UnreadPage(attempt.problem if attempt is not None else _unanswered(error))
        return render(request, "actors/dead_letter_unread.html", {"page": unread}, status=503)
    if letter is None:
        raise Http404("there is no such dead letter")
    sees, acts = await may_see_payloads(request), await may_resolve(request)
    editing = request.GET.get("edit") == "1" or (attempt is not None and attempt.text is not None)
    editor, cannot_edit = None, ""
    if letter.unresolved and editing and sees and acts:
        editor, cannot_edit = await _editor(request, letter, attempt)
    (row,) = await rows_of([letter])
    traced = letter.trace_id is not None and letter.span_id is not None
    page = LetterPage(
        actor_type=actor_type,
        key=key,
        row=row,
        panel=reverse("tracing:span", args=[letter.trace_id, letter.span_id]) if traced else "",
        origin="" if letter.retry_of is None else letter_address(actor_id, letter.retry_of),
        group=group_address(letter.fingerprint) if letter.fingerprint else "",
        editor=editor,
        cannot_edit=cannot_edit,
        may_resolve=acts,
        may_see=sees,
        reason=attempt.reason if attempt is not None else "",
        problem=attempt.problem if attempt is not None and editor is None else "",
    )
    status = 200 if attempt is None else attempt.status
    return render(request, "actors/dead_letter.html", {"page": page}, status=status)


async def _editor(
    request: HttpRequest, letter: DeadLetter, attempt: Attempt | None
) -> tuple[Editor | None, str]:
    """Return the payload to edit, as it was typed or else as it is; or why it cannot be."""
    redrive = services.current().redrive
    hints = field_hints(redrive.input_type(letter))
    if attempt is not None and attempt.text is not None:
        return Editor(attempt.text, attempt.problem, hints), ""
    try:
        message = await redrive.message(letter)
    except StorageError as error:
        return None, _unanswered(error)
    if message is None:
        return None, "Neither the queue nor the archive keeps its message any more."
    await write_down(
        request,
        letter.actor_id,
        f"looked at the payload of the dead letter {letter.message_id[:40]}",
    )
    text = editable(message.payload if letter.payload is None else letter.payload)
    if len(text) > MAX_EDITED:
        return None, f"Its payload is too large to be edited here: {len(text):,} characters."
    return Editor(text, "", hints), ""


def _typed(text: str) -> dict[str, Any]:
    if len(text) > MAX_EDITED:
        raise InvalidMessage(f"A payload of {len(text):,} characters is too large to be sent here")
    return json_object(text)


def _nothing_done(
    request: HttpRequest, actor_id: str, message_id: str, error: ActorError
) -> HttpResponse:
    messages.warning(request, f"{error}. Nothing was done now.")
    if isinstance(error, LetterGone):
        return redirect("actors:dead-letters")
    return redirect(letter_address(actor_id, message_id))


async def _may_act(request: HttpRequest, actor_type: str, key: str) -> str:
    await need_may_resolve(request)
    return asked_actor(actor_type, key)


def _unanswered(error: StorageError) -> str:
    return (
        f"The store or queue does not answer ({type(error).__name__}). Repeating it is safe: a"
        " message is sent once."
    )
