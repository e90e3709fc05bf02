"""Numbers with their nouns, in a sentence."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 message" or "2,000 messages"; `many` is the plural where it takes more than an s.

    What follows may agree with the number: `counted(n, "span names", "spans name")`.
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
