"""What does tracing add to some work? The same work in blocks, with it and without it in turn."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable

from loomweb.wiring import Loom


async def overhead(
    loom: Loom, block: Callable[[], Awaitable[None]], pairs: int
) -> dict[str, float]:
    """Return by how many percent a block takes longer, and costs more CPU, when it is traced.

    `block` does its work to the end; it is done once before the clock starts, then twice for each
    pair, with `runtime.tracer` and without one. Both blocks of a pair run in this process within
    seconds: from process to process, and from minute to minute, the speed of a shared machine
    drifts by more than what is looked for. What is returned is the mean of the middle half of the
    pairs' ratios, for the outer ones tell what else the machine did; with the standard error.

    A traced block ends when the recorder has been given all that was told. What of it is not stored
    yet is stored before the next block begins, in nobody's time; a block should take several of the
    recorder's intervals, so that this is little. A recorder's CPU in a process of its own is not in
    `overhead_cpu_percent`.
    """
    tracer = loom.runtime.tracer
    if tracer is None:
        raise ValueError("tracing is off")
    taken: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    await block()
    for number in range(pairs):
        for traced in (False, True) if number % 2 else (True, False):
            await tracer.flush()
            loom.runtime.tracer = tracer if traced else None
            began, cpu = time.perf_counter(), time.process_time()
            await block()
            if traced:
                tracer.hand_over()
            taken[traced].append((time.perf_counter() - began, time.process_time() - cpu))
    loom.runtime.tracer = tracer
    await tracer.flush()
    assert tracer.stats().dropped == {}, tracer.stats()
    ratios = [
        [on[what] / off[what] for on, off in zip(taken[True], taken[False], strict=True)]
        for what in (0, 1)
    ]
    return {
        "overhead_percent": (_middle(ratios[0]) - 1) * 100,
        "overhead_error_percent": _error(ratios[0]) * 100,
        "overhead_cpu_percent": (_middle(ratios[1]) - 1) * 100,
        "traced_cpu_s": sum(cpu for _, cpu in taken[True]),
    }


def _middle(ratios: list[float]) -> float:
    """Return the interquartile mean."""
    outside = len(ratios) // 4
    return statistics.fmean(sorted(ratios)[outside : len(ratios) - outside])


def _error(ratios: list[float]) -> float:
    """Return the standard error of `_middle`, for ratios whose inner half is about normal."""
    lower, _, upper = statistics.quantiles(ratios, n=4)
    deviation = (upper - lower) / 1.349
    # A quarter trimmed from each end keeps 84 % of the efficiency that the whole mean has.
    return deviation / math.sqrt(0.84 * len(ratios))
