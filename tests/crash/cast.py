"""Actors that do everything an actor can, for workers that are killed at every step of it.

Each effect on the outside world is a line in a file that is only ever appended to.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from actors import Actor, CallFailed, NonRetryable, SagaCompensated, activity, handler
from tests.crash.points import Fuse

LEDGER = "Ledger/all"
SHELF = "Shelf/all"
LAPS = 3


EFFECTS: ContextVar[Path] = ContextVar("effects")
"""The file that activities append to."""
FUSE: ContextVar[Fuse] = ContextVar("fuse", default=Fuse())  # noqa: B039 - it has no point


class SoldOut(NonRetryable):
    """The step cannot be done."""


class Hopeless(NonRetryable):
    """The message cannot be handled."""


@activity
async def effect(what: str, idempotency_key: str) -> str:
    FUSE.get().reached("activity", after=False)
    file = os.open(EFFECTS.get(), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{what} {idempotency_key}\n".encode())
    os.close(file)
    FUSE.get().reached("activity", after=True)
    if what.startswith("sold-out"):
        raise SoldOut(what)
    return f"{what}-{idempotency_key[:8]}"


@activity
async def undo(what: str, result: str, idempotency_key: str) -> None:
    await effect(f"undo-{what}", idempotency_key)


class Person(Actor):
    @handler
    async def order(self, payload: dict[str, Any]) -> None:
        receipt = await self.call_activity(effect, what=f"charge-{self.key}")
        taken = await self.call(SHELF, "take", {"of": self.key})
        wrapped = await self.gather(
            self.call_activity(effect, what=f"wrap-{self.key}"),
            self.call_activity(effect, what=f"label-{self.key}"),
        )
        parcel = self.spawn(Parcel, "pack", {"of": self.key})
        self.send(LEDGER, "note", {"of": self.key})
        self.update_state(receipt=receipt, taken=taken, wrapped=wrapped, parcel=parcel)

    @handler
    async def listen(self, payload: dict[str, Any]) -> None:
        heard = []
        for _ in range(payload["words"]):
            word = await self.wait_for_event("word")
            self.send(LEDGER, "note", {"of": self.key})
            heard.append(word["number"])
        self.update_state(heard=heard)

    @handler
    async def afterwards(self, payload: dict[str, Any]) -> None:
        # Waits in the mailbox behind the turn that is suspended.
        self.update_state(afterwards=len(self.state.get("heard", [])))

    @handler
    async def nap(self, payload: dict[str, Any]) -> None:
        for number in range(2):
            await self.sleep(0.01)
            self.send(LEDGER, "note", {"of": self.key})
            await self.call_activity(effect, what=f"wake-{self.key}-{number}")
        self.update_state(naps=2)

    @handler
    async def travel(self, payload: dict[str, Any]) -> None:
        try:
            async with self.saga("travel") as saga:
                await saga.step(effect, undo=undo, what=f"train-{self.key}")
                await self.wait_for_event("paid")
                await saga.step(effect, undo=undo, what=f"{payload['room']}-{self.key}")
        except SagaCompensated:
            self.update_state(status="undone")
        else:
            self.update_state(status="booked")
        self.send(LEDGER, "note", {"of": self.key})

    @handler
    async def ask(self, payload: dict[str, Any]) -> None:
        try:
            await self.call(f"Oracle/{self.key}", "answer", {})
        except CallFailed as failed:
            self.update_state(failed=failed.error_type)

    @handler
    async def stumble(self, payload: dict[str, Any]) -> None:
        done = await self.call_activity(effect, what=f"before-{self.key}")
        stumbled = EFFECTS.get().with_name(f"stumbled-{self.key}")
        if not stumbled.exists():
            stumbled.touch()
            raise ValueError("only the first time")
        self.update_state(done=done)

    @handler
    async def run(self, payload: dict[str, Any]) -> None:
        lap = payload["lap"]
        self.update_state(laps=self.state.get("laps", 0) + 1)
        self.send(LEDGER, "note", {"of": self.key})
        if lap < LAPS:
            self.continue_as_new({"lap": lap + 1})


class Parcel(Actor):
    @handler
    async def pack(self, payload: dict[str, str]) -> None:
        self.update_state(packed=await self.call_activity(effect, what=f"pack-{payload['of']}"))
        self.send(LEDGER, "note", {"of": payload["of"]})


class Shelf(Actor):
    @handler
    async def take(self, payload: dict[str, str]) -> dict[str, str]:
        self.update_state(taken=self.state.get("taken", 0) + 1)
        return payload


class Oracle(Actor):
    @handler
    async def answer(self, payload: dict[str, Any]) -> None:
        await self.call_activity(effect, what=f"ponder-{self.key}")
        raise Hopeless("nobody knows")


class Ledger(Actor):
    """Counts what it is told: a long journal, with snapshots and compaction."""

    @handler
    async def note(self, payload: dict[str, str]) -> None:
        of = payload["of"]
        self.update_state({of: self.state.get(of, 0) + 1})


CAST = (Person, Parcel, Shelf, Oracle, Ledger)
