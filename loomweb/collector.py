"""The garbage collector of a process that serves: seldom, and past what never goes.

Messages and events that wait to be written are made by the thousand, live for a second and refer
to nothing that refers back. With Python's own thresholds the collector runs at every 700 of them,
and often through everything that was ever imported: half of what tracing costs.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 50_000, 20, 20
"""Objects made, and runs over each generation, before the next older one is looked through."""


def settle() -> None:
    """Call it once the process has started: what is there now is left alone from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
