"""What does tracing add to some work? The same work in blocks, with it and without it in turn."""

from __future__ import annotations

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
    drifts by more than what is looked for. The medians of the pairs' ratios are returned.

    What was recorded is stored before the next block begins. That counts as neither's time, and a
    recorder's CPU in a process of its own is not in `overhead_cpu_percent`.
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
            taken[traced].append((time.perf_counter() - began, time.process_time() - cpu))
    loom.runtime.tracer = tracer
    await tracer.flush()
    assert tracer.stats().dropped == {}, tracer.stats()
    ratios = [
        [on[what] / off[what] for on, off in zip(taken[True], taken[False], strict=True)]
        for what in (0, 1)
    ]
    longer, dearer = (statistics.median(each) for each in ratios)
    return {
        "overhead_percent": (longer - 1) * 100,
        "overhead_cpu_percent": (dearer - 1) * 100,
        "traced_cpu_s": sum(cpu for _, cpu in taken[True]),
    }
