"""A deep chain: each link spawns the next, and the answer travels back up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from actors.actor import Actor
from actors.errors import NonRetryable
from actors.handlers import handler


@dataclass(frozen=True)
class ChainRequest:
    depth: Annotated[
        int, Meta(ge=1, le=2_000, description="How many actors, one below the other")
    ] = 12
    fail_at: Annotated[int, Meta(ge=0, le=2_000, description="Level that fails; 0 for none")] = 0


class BrokenLink(NonRetryable):
    """The level that was asked to fail."""


class ChainLink(Actor):
    """One level of the chain."""

    @handler
    async def extend(self, request: ChainRequest) -> None:
        level = int(self.key.rpartition("-")[2]) if "-" in self.key else 1
        if level == request.fail_at:
            raise BrokenLink(f"level {level} was asked to fail")
        self.update_state(level=level, parent=self.sender)
        if level < request.depth:
            run = self.key.rpartition("-")[0] or self.key
            self.spawn(
                ChainLink,
                "extend",
                {"depth": request.depth, "fail_at": request.fail_at},
                key=f"{run}-{level + 1}",
            )
        elif self.sender is not None:
            self.send(self.sender, "reached", {"depth": level})

    @handler
    async def reached(self, payload: dict[str, int]) -> None:
        self.update_state(reached=payload["depth"])
        if self.state.get("parent"):
            self.send(self.state["parent"], "reached", {"depth": payload["depth"]})
