"""Actors that wait, sleep and run sagas, for workers that are killed in the midst of it.

What their activities do to the outside world is files: one per booking, named by its key.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from actors import Actor, NonRetryable, SagaCompensated, activity, handler

LEDGER = "Ledger/all"
PAUSE = 0.03
"""Seconds that an activity takes: long enough to be met by a kill."""


@activity
async def shout(word: int) -> int:
    await asyncio.sleep(PAUSE)
    return word * 10


class Listener(Actor):
    """Waits for words, one after the other; tells the ledger of each."""

    @handler
    async def listen(self, payload: dict[str, Any]) -> None:
        heard: list[int] = []
        for _ in range(payload["words"]):
            word = await self.wait_for_event("word")
            self.send(LEDGER, "note", {"of": self.actor_id})
            heard.append(await self.call_activity(shout, word=word["number"]))
        self.update_state(heard=[*self.state.get("heard", []), *heard])

    @handler
    async def after(self, payload: dict[str, Any]) -> None:
        # Waits in the mailbox behind the turn that is suspended.
        self.update_state(after=len(self.state.get("heard", [])))


class Sleeper(Actor):
    """Sleeps again and again; tells the ledger between."""

    @handler
    async def nap(self, payload: dict[str, Any]) -> None:
        for number in range(payload["naps"]):
            await self.sleep(payload["seconds"])
            self.send(LEDGER, "note", {"of": self.actor_id})
            await self.call_activity(shout, word=number)
        self.update_state(naps=payload["naps"])


class SoldOut(NonRetryable):
    """The booking cannot be made."""


@activity
async def book(folder: str, what: str, sold_out: bool, idempotency_key: str) -> str:
    await asyncio.sleep(PAUSE)
    if sold_out:
        raise SoldOut(what)
    booking = f"{what}-{idempotency_key}"
    (Path(folder) / booking).touch()
    return booking


@activity
async def give_back(folder: str, result: str) -> None:
    await asyncio.sleep(PAUSE)
    with contextlib.suppress(FileNotFoundError):
        (Path(folder) / result).unlink()


class Voyage(Actor):
    """A saga that sleeps and waits between its steps. `payload["ends"]` says how it ends."""

    @handler
    async def plan(self, payload: dict[str, Any]) -> None:
        ends = payload["ends"]

        async def step(what: str, *, sold_out: bool = False) -> str:
            booking: str = await saga.step(
                book, undo=give_back, folder=payload["folder"], what=what, sold_out=sold_out
            )
            return booking

        try:
            async with self.saga("voyage") as saga:
                bookings = [await step(f"{self.key}-ship")]
                await self.sleep(0.05)
                bookings.append(await step(f"{self.key}-cabin", sold_out=ends == "early"))
                if ends in ("paid", "cancelled"):
                    await self.wait_for_event("paid")
                bookings.append(await step(f"{self.key}-meal", sold_out=ends == "late"))
        except SagaCompensated:
            self.update_state(status="undone")
        else:
            self.update_state(status="booked", bookings=bookings)
        self.send(LEDGER, "note", {"of": self.actor_id})


class Ledger(Actor):
    """Counts what it is told."""

    @handler
    async def note(self, payload: dict[str, str]) -> None:
        of = payload["of"]
        self.update_state({of: self.state.get(of, 0) + 1})
