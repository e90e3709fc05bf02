"""A progress bar for long commands: a moving line on a terminal, a line per tenth elsewhere."""

from __future__ import annotations

import time
from typing import TextIO

_WIDTH = 28


class ProgressBar:
    """Shows how many of `total` are done, how fast, and how long the rest will take."""

    def __init__(self, total: int, what: str, stream: TextIO) -> None:
        self._total = total
        self._what = what
        self._stream = stream
        self._moving = stream.isatty()
        self._started = self._shown_at = time.monotonic()
        self._shown = -1

    def update(self, done: int) -> None:
        """Show `done`, unless it was shown a moment ago."""
        now = time.monotonic()
        if self._moving:
            if now - self._shown_at < 0.1 and done < self._total:
                return
        elif done * 10 // max(1, self._total) == self._shown:
            return
        self._shown_at, self._shown = now, done * 10 // max(1, self._total)
        self._write(done, now)

    def close(self) -> None:
        """End the moving line."""
        if self._moving:
            self._stream.write("\n")
            self._stream.flush()

    def _write(self, done: int, now: float) -> None:
        share = done / max(1, self._total)
        speed = done / max(now - self._started, 1e-9)
        rest = f"{(self._total - done) / speed:,.0f} s left" if done else "starting"
        filled = "█" * int(share * _WIDTH)
        line = (
            f"{filled:·<{_WIDTH}} {done:,} of {self._total:,} {self._what}"
            f"  {speed:,.0f}/s  {rest if done < self._total else 'done'}"
        )
        self._stream.write(f"\r{line}\x1b[K" if self._moving else f"{line}\n")
        self._stream.flush()
