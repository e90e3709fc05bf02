"""Sparing the garbage collector what is large and all kept: it would look through it for nothing.

For a trace of 100,000 spans the collector costs more than building the tree does. Nothing here
keeps anything alive: what is not referred to any more goes at once, collector or not.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pausing = 0
_was_enabled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector off within the block; blocks may overlap."""
    global _pausing, _was_enabled
    with _lock:
        if _pausing == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pausing += 1
    try:
        yield
    finally:
        with _lock:
            _pausing -= 1
            if _pausing == 0 and _was_enabled:
                gc.enable()


@contextmanager
def spared() -> Iterator[None]:
    """Keep the collector off within the block, and from what was made in it until `resume`."""
    # Young garbage goes first: what refers to itself and is skipped would stay.
    gc.collect(1)
    with collector_paused():
        yield
        gc.freeze()


def resume() -> None:
    """Let the collector look at everything again."""
    gc.unfreeze()
