"""`query`: calls a read-only handler on an actor's committed state, past its mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.actor import Actor
from actors.errors import InvalidMessage, StateMutated
from actors.message import MAX_PAYLOAD_BYTES, Message, check_json
from actors.read_only import ReadOnlyTurn
from actors.stores import StateStore


def check_read_only(actor_type: type[Actor], message_type: str) -> None:
    """Raise `InvalidMessage` when that is no read-only handler of the actor type."""
    if not actor_type.is_read_only(message_type):
        raise InvalidMessage(
            f"{message_type[:80]!r} is no read-only handler of {actor_type.type_name()}: send a"
            " message, or declare it with @handler(read_only=True)"
        )


async def query(
    store: StateStore,
    actor_type: type[Actor],
    key: str,
    message_type: str,
    payload: Mapping[str, Any],
    clock_ns: Callable[[], int],
) -> Any:
    """Return what the handler returns. See `ActorRuntime.query`."""
    check_read_only(actor_type, message_type)
    actor_id = actor_type.address(key)
    fold = await store.load(actor_id)
    # A copy, so that a handler which changes it in place does not go unnoticed.
    state = msgspec.json.decode(msgspec.json.encode(fold.data))
    message = Message.new(actor_id, message_type, payload)
    result = await actor_type(ReadOnlyTurn(message, state, clock_ns)).handle(message)
    if state != fold.data:
        raise StateMutated(f"the read-only handler {message_type} of {actor_id} changed self.state")
    check_json({"result": result}, f"the result of {message_type}", MAX_PAYLOAD_BYTES)
    return result
