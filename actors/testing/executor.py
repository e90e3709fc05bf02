"""The harness's activities: replaced by functions or made to fail, each attempt written down."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from actors.activity import Activity, ActivityExecutor, Observer
from actors.retry import ACTIVITY_RETRIES

Answer = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ActivityCall:
    """One attempt of an activity. `error` is what it raised; None when it succeeded."""

    name: str
    arguments: Mapping[str, Any]
    idempotency_key: str
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Failing:
    left: float
    error: BaseException


class Broken:
    """Keeps the first assertion that failed in a function of the test, so that the test fails."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    async def call(self, function: Answer, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the test, plain or async."""
        try:
            result = function(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:  # the border to the test: what it raised is for the runtime
            # pytest's own outcomes are no exceptions; nor is what a time-out does.
            if isinstance(error, AssertionError) or not isinstance(
                error, (Exception, asyncio.CancelledError)
            ):
                self.error = self.error or error
            raise


class HarnessExecutor(ActivityExecutor):
    """Runs activities in the event loop, plain functions too, with delays that are the same on
    every run."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(replace(ACTIVITY_RETRIES, jitter=0.0))
        self.calls: list[ActivityCall] = []
        self._broken = broken
        self._replaced: dict[str, Answer] = {}
        self._failing: dict[str, _Failing] = {}

    def replace(self, name: str, function: Answer) -> None:
        """Call `function` instead of the activity of this name."""
        self._replaced[name] = function

    def fail(self, name: str, times: float, error: BaseException) -> None:
        """Raise `error` in the next attempts of the activity of this name."""
        self._failing[name] = _Failing(times, error)

    async def run(
        self,
        activity: Activity,
        arguments: Mapping[str, Any],
        idempotency_key: str,
        observer: Observer | None = None,
    ) -> tuple[Any, int]:
        async def attempt(**call: Any) -> Any:
            made = ActivityCall(activity.name, dict(arguments), idempotency_key)
            try:
                result = await self._attempt_once(activity, call)
            except BaseException as error:  # written down, and raised again
                self.calls.append(replace(made, error=error))
                raise
            self.calls.append(replace(made, result=result))
            return result

        policy = activity.retry_policy
        stand_in = replace(
            activity,
            function=attempt,
            retry_policy=None if policy is None else replace(policy, jitter=0.0),
            takes_key=True,
        )
        return await super().run(stand_in, arguments, idempotency_key, observer)

    async def _attempt_once(self, activity: Activity, call: dict[str, Any]) -> Any:
        failing = self._failing.get(activity.name)
        if failing is not None and failing.left > 0:
            failing.left -= 1
            raise failing.error
        function = self._replaced.get(activity.name, activity.function)
        if "idempotency_key" not in inspect.signature(function).parameters:
            del call["idempotency_key"]
        return await self._broken.call(function, **call)
