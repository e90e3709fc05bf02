"""Turning an exception into what the journal keeps of it."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_TEXT = 8_000
MAX_FRAMES = 40

_PACKAGE = str(Path(__file__).resolve().parent)
_SAMPLES = str(Path(__file__).resolve().parent / "samples")
_ROOT = str(Path(__file__).resolve().parents[1])
_LIBRARIES = tuple(
    {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a stack. `own` tells the user's code from libraries and the runtime."""

    file: str
    line: int
    function: str
    code: str
    own: bool

    def to_document(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "function": self.function,
            "code": self.code,
            "own": self.own,
        }


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as data; bounded, outermost frame first."""

    type: str
    message: str
    stack: tuple[Frame, ...]
    fingerprint: str
    retryable: bool

    def to_document(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "message": self.message,
            "fingerprint": self.fingerprint,
            "retryable": self.retryable,
            "stack": [frame.to_document() for frame in self.stack],
        }


def describe(error: BaseException, *, retryable: bool, actor_type: str, work: str) -> Failure:
    """Describe `error`, raised while an actor of `actor_type` did `work`.

    The fingerprint groups failures by error type, actor type, work and the innermost own frame's
    function; line numbers are left out, so that an edit above does not split a group.
    """
    frames = _frames(error)
    own = _innermost_own(frames)
    place = f"{Path(own.file).name}:{own.function}" if own else ""
    kind = type(error).__name__
    fingerprint = _fingerprint(kind, actor_type, work, place)
    return Failure(kind, _text(error), tuple(frames), fingerprint, retryable)


def worker_lost(*, actor_type: str, work: str) -> Failure:
    """Describe a message that ended every worker which tried it, without a word."""
    text = "every worker that tried it ended before it could say anything"
    fingerprint = _fingerprint("WorkerLost", actor_type, work, "")
    return Failure("WorkerLost", text, (), fingerprint, retryable=False)


def innermost_own(error: BaseException) -> Frame | None:
    """Return the innermost line of the user's code that `error` came through, if any."""
    return _innermost_own(_frames(error))


def definition(function: Callable[..., Any]) -> Frame:
    """Return the line where a function is defined."""
    code = inspect.unwrap(function).__code__
    return Frame(
        _shown(code.co_filename),
        code.co_firstlineno,
        function.__name__,
        linecache.getline(code.co_filename, code.co_firstlineno).strip()[:200],
        _own(code.co_filename),
    )


def _innermost_own(frames: Sequence[Frame]) -> Frame | None:
    return next((frame for frame in reversed(frames) if frame.own), None)


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # a broken __str__ must not hide the failure it belongs to
        text = "(its text could not be read)"
    if len(text) > MAX_TEXT:
        return f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT:,} characters more)"
    return text


def _frames(error: BaseException) -> list[Frame]:
    summary = traceback.extract_tb(error.__traceback__)
    entries: Iterable[traceback.FrameSummary] = summary
    if len(summary) > MAX_FRAMES:  # recursion: the ends tell the story
        half = MAX_FRAMES // 2
        entries = [*summary[:half], *summary[-half:]]
    return [
        Frame(
            file=_shown(entry.filename),
            line=entry.lineno or 0,
            function=entry.name,
            code=(entry.line or "")[:200],
            own=_own(entry.filename),
        )
        for entry in entries
    ]


def _shown(filename: str) -> str:
    return filename.removeprefix(_ROOT).lstrip("/")


def _own(filename: str) -> bool:
    if filename.startswith(_SAMPLES):
        return True
    return not filename.startswith((_PACKAGE, *_LIBRARIES, "<frozen"))
