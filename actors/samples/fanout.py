"""Fan-out and fan-in: one actor spawns many, and counts their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from actors.activity import activity
from actors.actor import Actor
from actors.handlers import handler
from actors.retry import RetryPolicy
from actors.samples.chance import fraction


@dataclass(frozen=True)
class FanOutRequest:
    children: Annotated[int, Meta(ge=1, le=1_000, description="How many children work at once")] = (
        20
    )
    words: Annotated[int, Meta(ge=1, le=5_000, description="Words in each child's document")] = 200


@dataclass(frozen=True)
class Document:
    number: int
    words: int


@activity(retry_policy=RetryPolicy(max_retries=3, initial_delay=0.1, max_delay=0.5))
async def count_words(number: int, words: int) -> dict[str, int]:
    """Count what a document of `words` pseudo-random words holds, by first letter."""
    counts: dict[str, int] = {}
    for position in range(words):
        letter = "abcdefghij"[int(fraction(number, position) * 10)]
        counts[letter] = counts.get(letter, 0) + 1
    return counts


class WordCount(Actor):
    """Spreads documents over children and adds up what they count."""

    @handler
    async def count(self, request: FanOutRequest) -> None:
        for number in range(request.children):
            self.spawn(
                Counter,
                "count",
                {"number": number, "words": request.words},
                key=f"{self.key}-{number}",
            )
        self.update_state(expected=request.children, received=0, totals={})

    @handler
    async def counted(self, counts: dict[str, int]) -> None:
        totals = self.state["totals"]
        self.update_state(
            received=self.state["received"] + 1,
            totals={letter: totals.get(letter, 0) + n for letter, n in counts.items()},
        )
        if self.state["received"] == self.state["expected"]:
            self.update_state(done=True)


class Counter(Actor):
    """Counts the words of one document."""

    @handler
    async def count(self, document: Document) -> None:
        counts = await self.call_activity(count_words, number=document.number, words=document.words)
        self.update_state(counts=counts)
        if self.sender is not None:
            self.send(self.sender, "counted", counts)
