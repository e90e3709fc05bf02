"""`handler` marks the methods of an actor that handle messages; `Bound` is one of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import msgspec

from actors.errors import InvalidPayload

Handler = Callable[..., Awaitable[Any]]
_HandlerT = TypeVar("_HandlerT", bound=Handler)
_MARK = "__loom_handler__"


@dataclass(frozen=True, slots=True)
class _Mark:
    message_type: str
    read_only: bool


@overload
def handler(function: _HandlerT, /) -> _HandlerT: ...
@overload
def handler(
    *, message_type: str | None = None, read_only: bool = False
) -> Callable[[_HandlerT], _HandlerT]: ...
def handler(
    function: _HandlerT | None = None,
    /,
    *,
    message_type: str | None = None,
    read_only: bool = False,
) -> _HandlerT | Callable[[_HandlerT], _HandlerT]:
    """Make an async method handle messages of its own name, or of `message_type`.

    The method takes the payload: as the dataclass or TypedDict that its parameter is annotated
    with (a payload that does not fit is a non-retryable failure), or else as a dict.

    A `read_only` one sees the state and returns something, and can do nothing else. `runtime.query`
    calls it past the mailbox, so that it answers while a turn is suspended too.
    """

    def mark(function: _HandlerT) -> _HandlerT:
        setattr(function, _MARK, _Mark(message_type or function.__name__, read_only))
        return function

    return mark if function is None else mark(function)


@dataclass(frozen=True, slots=True)
class Bound:
    """A handler of an actor type; `input_type` is what its payload is made, None leaves a dict."""

    function: Handler
    input_type: Any
    read_only: bool

    def payload_of(self, actor_type: str, message_type: str, payload: Mapping[str, Any]) -> Any:
        """Return what the handler is given.

        Raises:
            InvalidPayload: the payload does not fit the handler's input type.
        """
        if self.input_type is None:
            return payload
        try:
            return msgspec.convert(payload, self.input_type)
        except msgspec.ValidationError as error:
            raise InvalidPayload(f"{actor_type}.{message_type}: {error}") from None


def handlers_of(cls: type[Any]) -> dict[str, Bound]:
    """Return the handlers that a class itself defines, by message type.

    Raises:
        TypeError: one of them is not async, or takes something else than the payload.
    """
    found = {}
    for function in vars(cls).values():
        mark = getattr(function, _MARK, None)
        if isinstance(mark, _Mark):
            if not inspect.iscoroutinefunction(function):
                raise TypeError(f"{cls.__name__}.{function.__name__}: a handler is async")
            found[mark.message_type] = Bound(function, _input_type(function), mark.read_only)
    return found


def _input_type(function: Handler) -> Any:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise TypeError(f"{function.__qualname__}: a handler takes the payload and nothing else")
    hints = typing.get_type_hints(function, include_extras=True)
    hint = hints.get(parameters[1].name)
    if hint is None or typing.get_origin(hint) in (dict, Mapping) or hint is dict:
        return None
    return hint
