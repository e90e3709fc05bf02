"""Where a piece of work stands in a trace: ids as in W3C Trace Context §3.2."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

import msgspec

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}\Z")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16

NewId = Callable[[int], str]
"""Returns that many random bytes as lower-case hex; tests inject a predictable one."""


def random_id(length: int) -> str:
    """Return `length` random bytes as hex. Ids are no secrets: they need no system call each."""
    return (random.getrandbits(8 * length) or 1).to_bytes(length, "big").hex()


def trace_id_at(now_ns: int, new_id: NewId) -> str:
    """Return a new trace id. It begins with the time, as a UUID of version 7 does (RFC 9562 §5.7).

    So what is stored about the same time are neighbours in the store's index: with ids from all
    over it, each row would have a page of its own to be read and written. The last 10 bytes are
    random; W3C Trace Context level 2 asks for 7.
    """
    return (now_ns // 1_000_000).to_bytes(6, "big").hex() + new_id(10)


class TraceContext(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One span's place in a trace, also as messages carry it: without what is as it is by default.

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_span_id: the span that caused this one; None for the root.
        sampled: the W3C flag; an unsampled trace is kept only if something in it fails.
        state: what other vendors put into `tracestate` (§3.3); handed on as it came.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    sampled: bool = True
    state: str = ""

    def traceparent(self) -> str:
        """Return the W3C `traceparent` header (version 00) that makes this span the parent."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def headers(self) -> dict[str, str]:
        """Return the headers that make a request to another service part of this trace."""
        headers = {"traceparent": self.traceparent()}
        if self.state:
            headers["tracestate"] = self.state
        return headers

    @classmethod
    def from_traceparent(cls, header: str, state: str = "") -> TraceContext | None:
        """Return the caller's span, or None when the header is not valid (§3.2.2: then restart).

        `state` is the `tracestate` header; one that is malformed or too long is left out (§3.3.1).
        """
        match = _TRACEPARENT.match(header.strip())
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        if version == "ff" or trace_id == _NO_TRACE or span_id == _NO_SPAN:
            return None
        if version == "00" and rest:
            return None
        state = state.strip()
        if not _TRACESTATE.match(state):
            state = ""
        return cls(trace_id, span_id, None, bool(int(flags, 16) & 1), state)


class Placed(Protocol):
    """What has a place in a trace, and may make that up when it is asked."""

    @property
    def context(self) -> TraceContext: ...


current_span: ContextVar[Placed | None] = ContextVar("current_span", default=None)
"""What tells of the running code, where something does: set while an activity runs."""


def trace_headers() -> dict[str, str]:
    """Return the headers with which an activity calls another service, so that what that service
    does appears below it in the trace; empty outside of a traced activity."""
    span = current_span.get()
    return {} if span is None else span.context.headers()
