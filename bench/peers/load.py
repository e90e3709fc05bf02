"""A closed loop: so many runs under way at a time, the next one when one is done."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable

WARM = 0.1
"""Part of the runs that are done before the clock starts."""


async def drive(
    one: Callable[[int], Awaitable[None]],
    runs: int,
    concurrency: int,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> dict[str, float]:
    """Do `runs` runs, `concurrency` at a time, after some that do not count and then `ready`.

    Returns the median latency in milliseconds, how many were started in all, and when those that
    count began and ended, in seconds since the epoch.
    """
    numbers = itertools.count()
    took: list[float] = []

    async def lane(until: int) -> None:
        for number in numbers:
            if number >= until:
                return
            began = time.perf_counter()
            await one(number)
            took.append(time.perf_counter() - began)

    async def phase(until: int) -> None:
        await asyncio.gather(*(lane(until) for _ in range(concurrency)))

    warm = max(concurrency, int(runs * WARM))
    await phase(warm)
    took.clear()
    if ready is not None:
        await ready()
    # Every lane has drawn one number to see that it is too great.
    numbers = itertools.count(warm)
    began = time.time()
    await phase(warm + runs)
    return {
        "began": began,
        "ended": time.time(),
        "p50_ms": statistics.median(took) * 1e3,
        "started": warm + runs,
    }
