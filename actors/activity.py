"""Activities: what a turn does to the outside world, journaled, retried, at least once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, overload

from actors.heartbeat import limited
from actors.message import check_json
from actors.retry import ACTIVITY_RETRIES, RetryPolicy

MAX_RESULT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Activity:
    """A function that a handler may call through `call_activity`.

    Attributes:
        name: what the journal calls it; renaming the function must not change it.
        retry_policy: None takes the executor's.
        timeout: seconds for one attempt; None waits for ever.
        heartbeat_timeout: seconds that an attempt may go without calling `heartbeat`.
        takes_key: the function has a parameter `idempotency_key`.
    """

    name: str
    function: Callable[..., Any]
    retry_policy: RetryPolicy | None
    timeout: float | None
    heartbeat_timeout: float | None
    takes_key: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a test does."""
        return self.function(*args, **kwargs)


@overload
def activity(function: Callable[..., Any], /) -> Activity: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: float | None = None,
    heartbeat_timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Activity]: ...
def activity(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | None = None,
    timeout: float | None = None,
    heartbeat_timeout: float | None = None,
) -> Activity | Callable[[Callable[..., Any]], Activity]:
    """Make a function, plain or async, an activity.

    Arguments and result are JSON. It may run more than once; a parameter `idempotency_key`
    receives the same string every time.

    Example:
        @activity(timeout=5)
        async def charge(card: str, cents: int, idempotency_key: str) -> dict[str, str]: ...

    An attempt that takes longer than `timeout` seconds, or calls `heartbeat` less often than every
    `heartbeat_timeout` seconds, has failed with `ActivityTimeout` and is tried again. The thread of
    a plain function cannot be stopped; it ends when it calls `heartbeat`, or by itself.
    """

    def wrap(function: Callable[..., Any]) -> Activity:
        takes_key = "idempotency_key" in inspect.signature(function).parameters
        return Activity(
            name or function.__name__,
            function,
            retry_policy,
            timeout,
            heartbeat_timeout,
            takes_key,
        )

    return wrap if function is None else wrap(function)


class Observer(Protocol):
    """Is told of the attempts of an activity after its first."""

    def retried(self, attempt: int, error: BaseException) -> None: ...

    def started(self, attempt: int) -> None: ...


class ActivityExecutor:
    """Runs activities with their retries; plain functions in a thread pool of its own."""

    def __init__(
        self, retry_policy: RetryPolicy = ACTIVITY_RETRIES, *, max_threads: int = 16
    ) -> None:
        self._retry_policy = retry_policy
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="activity")

    async def run(
        self,
        activity: Activity,
        arguments: Mapping[str, Any],
        idempotency_key: str,
        observer: Observer | None = None,
    ) -> tuple[Any, int]:
        """Run an activity until it succeeds or its retries are used up.

        Returns:
            Its result and the number of attempts.

        Raises:
            Whatever the last attempt raised; `ActivityTimeout` when it ran out of time.
        """
        policy = activity.retry_policy or self._retry_policy
        call = dict(arguments)
        if activity.takes_key:
            call["idempotency_key"] = idempotency_key
        attempt = 1
        while True:
            if attempt > 1 and observer is not None:
                observer.started(attempt)
            try:
                result = await self._attempt(activity, call)
                check_json(result, f"the result of {activity.name}", MAX_RESULT_BYTES)
            except Exception as error:  # the border to user code; what it raised is reported
                if attempt >= policy.max_attempts or not policy.retryable(error):
                    raise
                if observer is not None:
                    observer.retried(attempt, error)
                await asyncio.sleep(policy.delay(attempt))
                attempt += 1
            else:
                return result, attempt

    async def _attempt(self, activity: Activity, call: Mapping[str, Any]) -> Any:
        if activity.timeout is None and activity.heartbeat_timeout is None:
            return await self._call(activity, call)
        async with limited(activity.name, activity.timeout, activity.heartbeat_timeout):
            return await self._call(activity, call)

    async def _call(self, activity: Activity, call: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(activity.function):
            return await activity.function(**call)
        work = partial(copy_context().run, partial(activity.function, **call))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Let go of the threads; attempts under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
