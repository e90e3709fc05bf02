"""Actors that are replaced by functions which answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.actor import Actor
from actors.errors import UnknownMessageType
from actors.message import Message
from actors.testing.executor import Answer, Broken


def stub(actor_type: str, answers: Mapping[str, Answer], broken: Broken) -> type[Actor]:
    """Return an actor type whose handlers are functions: message type → payload to result."""

    async def handle(self: Actor, message: Message) -> Any:
        function = answers.get(message.message_type)
        if function is None:
            raise UnknownMessageType(f"the test has no answer to {message.message_type!r}")
        return await broken.call(function, message.payload)

    return type(actor_type, (Actor,), {"handle": handle})
