"""Loading what references point at, on demand and in batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tracing.event import Ref, RefKind


class Outcome(StrEnum):
    """What became of following a reference."""

    LOADED = "loaded"
    EXPIRED = "expired"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A followed reference.

    Attributes:
        value: the JSON value, when loaded.
        detail: what to tell a person when it is not ("expired on 2026-11-01 by its 7-day TTL").
    """

    ref: Ref
    outcome: Outcome
    value: Any = None
    detail: str = ""


Loader = Callable[[Sequence[Ref]], Awaitable[Mapping[Ref, Resolved]]]
"""Loads references of one kind, in one batched read per partition. May raise; the references are
then reported as unreadable."""


class Resolvers:
    """Reference kind → loader. `loomweb.wiring` registers them, so tracing serves any system."""

    def __init__(self, loaders: Mapping[RefKind, Loader]) -> None:
        self._loaders = dict(loaders)

    async def load(self, refs: Sequence[Ref], *, allowed: bool = True) -> dict[Ref, Resolved]:
        """Follow references, one call per kind; every reference gets an outcome, none raises.

        With `allowed=False` nothing is read and every outcome is forbidden.
        """
        raise NotImplementedError
