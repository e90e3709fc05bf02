"""Head sampling: which traces are kept even if nothing in them fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SCALE = 1 << 56


@dataclass(frozen=True, slots=True)
class Sampler:
    """Keeps a share of new traces, decided by their id alone, so that every process agrees.

    The share applies to the last 56 bits of the trace id, which are random as W3C Trace Context
    level 2 asks (and as OpenTelemetry's `TraceIdRatioBased` takes them). What continues a trace
    keeps its flag instead.

    Attributes:
        rate: the share of traces kept, 0 to 1.
        rates: the share by name of workflow, or of actor type for messages sent from outside.
    """

    rate: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rate in (self.rate, *self.rates.values()):
            if not 0 <= rate <= 1:
                raise ValueError(f"a sampling rate is a share from 0 to 1, not {rate}")

    @property
    def keeps_all(self) -> bool:
        """Whether it need not be asked."""
        return min(self.rate, *self.rates.values(), 1.0) >= 1

    def keeps(self, trace_id: str, name: str | None = None) -> bool:
        """Return whether the new trace is sampled."""
        rate = self.rate if name is None else self.rates.get(name, self.rate)
        return rate >= 1 or int(trace_id[-14:], 16) < rate * _SCALE
