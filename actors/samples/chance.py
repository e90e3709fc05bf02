"""Chance that repeats: sample activities fail by arithmetic, so that a run can be told again."""

from __future__ import annotations

import hashlib


def fraction(*parts: object) -> float:
    """Return a number in [0, 1) that depends on `parts` alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
