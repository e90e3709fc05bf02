"""The input of a run that was, for a form that starts another like it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.http import HttpRequest

from actors import services
from actors.pages.access import write_down
from actors.pages.asking import may_see_payloads
from actors.workflow import Workflow
from storage import StorageError

DEFAULTS = "These are the defaults."
_RUN = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
"""What `start` gives a run as its correlation id, and somewhat more."""


@dataclass(frozen=True, slots=True)
class Given:
    """Values for a workflow's form.

    Attributes:
        values: by field; empty for the defaults.
        note: where they come from, or why they are the defaults.
    """

    values: dict[str, Any] = field(default_factory=dict)
    note: str = ""


async def input_of(request: HttpRequest, found: Workflow, run: str) -> Given:
    """Return the input of a run, by its correlation id. Whoever sees it is written down."""
    if not await may_see_payloads(request):
        return Given(
            note=f"Seeing a run's input needs the permission “Can see payloads, states and errors"
            f" of messages”. {DEFAULTS}"
        )
    try:
        message = await services.current().messages.first(run) if _RUN.match(run) else None
    except StorageError as error:
        return Given(note=f"The archive does not answer ({type(error).__name__}). {DEFAULTS}")
    if message is None or message.metadata.workflow != found.name:
        return Given(note=f"That run's input is no longer kept. {DEFAULTS}")
    await write_down(request, message.actor_id, "saw the input of")
    try:
        values = msgspec.to_builtins(msgspec.convert(message.payload, found.input_type))
    except msgspec.ValidationError:
        return Given(note=f"That run's input does not fit the workflow any more. {DEFAULTS}")
    return Given(values, f"The input of {message.actor_id}, ready to be changed.")
