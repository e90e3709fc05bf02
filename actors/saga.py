"""`Saga`: steps that are undone in reverse when a later one fails (Garcia-Molina, Salem 1987)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from actors.activity import Activity
from actors.errors import ActivityFailed, SagaCompensated, SagaFailed
from actors.journal import EntryType

SAGA_EVENTS = {
    EntryType.SAGA_STARTED: "saga:started",
    EntryType.SAGA_STEP_COMPLETED: "saga:step_completed",
    EntryType.SAGA_COMPENSATING: "saga:compensating",
    EntryType.SAGA_COMPENSATED: "saga:compensated",
    EntryType.SAGA_COMPLETED: "saga:completed",
    EntryType.SAGA_FAILED: "saga:failed",
}


class SagaContext(Protocol):
    """What executes a saga's parts: a turn."""

    async def call_activity(self, activity: Activity, arguments: Mapping[str, Any]) -> Any: ...

    def saga_entry(self, entry_type: EntryType, saga: str, more: Mapping[str, Any]) -> None: ...


class Saga:
    """A context manager around the steps of one undertaking; see `Actor.saga`.

    When its block raises, the steps that were completed are undone, the last one first. That is
    journaled as it happens: a crash in the middle is carried on from there. Then `SagaCompensated`
    is raised, or `SagaFailed` when undoing failed. Neither is retried; a handler that catches
    `SagaCompensated` can record the outcome and complete.
    """

    def __init__(self, turn: SagaContext, name: str) -> None:
        self._turn = turn
        self._name = name
        self._undo: list[tuple[Activity, Mapping[str, Any]]] = []

    async def step(
        self, activity: Activity, /, *, undo: Activity | None = None, **arguments: Any
    ) -> Any:
        """Run an activity as a step.

        `undo` is called with those of the step's arguments that it has parameters for, and with the
        step's result if it has a parameter `result`.

        Raises:
            ActivityFailed: the step failed; it counts as not done, so it is not undone.
        """
        result = await self._turn.call_activity(activity, arguments)
        if undo is not None:
            offered = {**arguments, "result": result}
            wanted = inspect.signature(undo.function).parameters
            self._undo.append((undo, {k: v for k, v in offered.items() if k in wanted}))
        self._turn.saga_entry(EntryType.SAGA_STEP_COMPLETED, self._name, {"step": activity.name})
        return result

    async def __aenter__(self) -> Saga:
        self._turn.saga_entry(EntryType.SAGA_STARTED, self._name, {})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._turn.saga_entry(EntryType.SAGA_COMPLETED, self._name, {})
            return
        if not isinstance(error, Exception):
            # Suspended or stopped, not failed: the block will be run again.
            return
        name = type(error).__name__
        self._turn.saga_entry(EntryType.SAGA_COMPENSATING, self._name, {"error": name})
        for undo, arguments in reversed(self._undo):
            try:
                await self._turn.call_activity(undo, arguments)
            except ActivityFailed as failed:
                self._turn.saga_entry(EntryType.SAGA_FAILED, self._name, {"step": undo.name})
                raise SagaFailed(
                    f"{self._name}: {undo.name} could not undo its step ({failed.error_type});"
                    f" the saga was undone because of {name}"
                ) from failed
        self._turn.saga_entry(EntryType.SAGA_COMPENSATED, self._name, {"error": name})
        raise SagaCompensated(f"{self._name} was undone: {error}") from error
