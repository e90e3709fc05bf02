"""A workflow that takes its time, for workers that are killed at it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from actors import Actor, Workflow, activity, handler

STEPS = 3


@dataclass(frozen=True)
class Request:
    name: str = "somebody"


@activity
async def walk(number: int) -> int:
    await asyncio.sleep(0.3)
    return number


class Errand(Actor):
    @handler
    async def run(self, request: Request) -> None:
        steps = [await self.call_activity(walk, number=number) for number in range(STEPS)]
        self.update_state(steps=[*self.state.get("steps", []), *steps])
        self.send("ErrandLog/all", "note", {"of": self.key})


class ErrandLog(Actor):
    @handler
    async def note(self, payload: dict[str, str]) -> None:
        of = payload["of"]
        self.update_state({of: self.state.get(of, 0) + 1})


ERRAND = Workflow(
    "errand", "Errand", "Walks.", "Activities that take time.", Errand, "run", Request
)
