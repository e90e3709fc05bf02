"""References as chips: where each is loaded from, and what became of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from tracing.event import Ref, RefKind
from tracing.resolve import Outcome, Resolved
from tracing.tree import Span

_KINDS = {
    RefKind.ACTOR_STATE: "state",
    RefKind.JOURNAL_ENTRY: "journal",
    RefKind.IDEMPOTENCY: "key",
}


@dataclass(frozen=True, slots=True)
class Pointer:
    """A reference of a span.

    Attributes:
        address: where it is loaded, when somebody asks.
        resolved: what became of it; None when nobody has asked yet.
    """

    ref: Ref
    address: str
    resolved: Resolved | None = None

    @property
    def kind(self) -> str:
        """What it points at, in a word."""
        return _KINDS.get(self.ref.kind, self.ref.kind.value)

    @property
    def label(self) -> str:
        """The short form of its id."""
        kind, id = self.ref.kind, self.ref.id
        if kind is RefKind.ACTOR_STATE:
            return f"version {id}"
        if kind is RefKind.JOURNAL_ENTRY:
            return id.partition(":")[0]
        container, _, document = id.rpartition("/") if kind is RefKind.DOCUMENT else ("", "", id)
        short = document if len(document) <= 16 else f"{document[:8]}…"
        return f"{container}/{short}" if container else short

    @property
    def loaded(self) -> bool:
        """Whether its value is here."""
        return self.resolved is not None and self.resolved.outcome is Outcome.LOADED

    @property
    def body(self) -> dict[str, Any]:
        """Its value, when that was loaded and is an object; else empty."""
        value = None if self.resolved is None else self.resolved.value
        return value if isinstance(value, dict) else {}

    @property
    def download(self) -> str:
        """Where its value can be had whole, as a file."""
        return f"{self.address}?download=1"

    @property
    def stored(self) -> bool:
        """Whether it points at something that can be loaded at all: a key only names."""
        return self.ref.kind is not RefKind.IDEMPOTENCY


class Pointers:
    """Makes pointers of one span's references."""

    def __init__(
        self, trace_id: str, span: Span, loaded: Mapping[Ref, Resolved] | None = None
    ) -> None:
        self._numbers = {ref: number for number, ref in enumerate(span.refs())}
        self._trace_id = trace_id
        self._span_id = span.span_id
        self._loaded = loaded or {}

    def to(self, ref: Ref) -> Pointer:
        """Return the pointer of one of the span's references."""
        arguments = (self._trace_id, self._span_id, self._numbers[ref])
        address = reverse("tracing:reference", args=arguments)
        return Pointer(ref, address, self._loaded.get(ref))

    def last_change(self, state: Ref) -> str:
        """Return where to ask, with a `path`, who changed it last before a state of the span."""
        address = reverse("tracing:last-change", args=(self._trace_id, self._span_id))
        return f"{address}?{urlencode({'version': state.id})}"
