"""`Workflow`: a run that a person can start, described well enough to make a form of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from actors.actor import Actor
from actors.message import address


@dataclass(frozen=True, slots=True)
class EventOffer:
    """An event that a person sends with one click, while the workflow's actor waits for its name.

    Attributes:
        label: what the button says.
    """

    name: str
    label: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Workflow:
    """One entry of the Workflows page.

    Attributes:
        name: slug, the last part of its address.
        summary: what it does, one sentence.
        teaches: what a reader learns from its trace, one sentence.
        input_type: dataclass of the first message's payload; defaults fill the form.
        events: what the page of a run's actor offers as buttons.
    """

    name: str
    title: str
    summary: str
    teaches: str
    actor: type[Actor]
    message_type: str
    input_type: type[Any]
    events: tuple[EventOffer, ...] = ()

    def __post_init__(self) -> None:
        if self.message_type not in self.actor.message_types():
            raise ValueError(f"{self.actor.type_name()} has no handler {self.message_type!r}")

    @property
    def actor_type(self) -> str:
        return self.actor.type_name()

    def new_actor(self, key: str | None = None) -> str:
        """Return the id of the actor that a new run starts with."""
        return address(self.actor_type, key or uuid4().hex[:10])
