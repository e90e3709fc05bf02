"""Actors whose every text is out to break the page that shows it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from actors import Actor, EventTimeout, NonRetryable, RetryPolicy, Workflow, activity, handler

SCRIPT = "</script><script>window.loomBroken = 'script'; alert('script')</script>"
IMAGE = "<img src=x onerror=\"window.loomBroken = 'image'; alert('image')\">"
TEMPLATE = "{{ 7|add:'42' }}{% include 'base.html' %}{# gone #}${7*7}"
QUOTES = "\"' onmouseover=\"alert('quote')\" javascript:alert(1) &lt;b&gt; `--> ]]>"
BACKWARDS = "\u202eexe.tnemyap\u202c \u2066isolate\u2069 \u200bzero\u200f שלום مرحبا"
CONTROL = "nul\x00 bell\x07 escape\x1b[31m delete\x7f \u0085 \u2028line \ufeff \U000e0041tag"
NASTY = {
    "script": SCRIPT,
    "image": IMAGE,
    "template": TEMPLATE,
    "quotes": QUOTES,
    "backwards": BACKWARDS,
    "control": CONTROL,
}
ALL = " ".join(NASTY.values())
KEY = "<b onclick=alert(1)>{{7*7}}\u202e'\"&"
"""As an actor's key: nothing in it is refused."""
EVENT_NAME = "constructor.__proto__"


def nested(levels: int) -> Any:
    """Return objects and arrays, one within the other."""
    value: Any = ALL
    for level in range(levels):
        value = {f"{SCRIPT} {level}": value} if level % 2 else [value]
    return value


def payload() -> dict[str, Any]:
    """Return a payload of everything nasty, within the limit of a message."""
    return {
        **NASTY,
        **dict.fromkeys(NASTY.values(), "as a key"),
        "": "under an empty key",
        "__proto__": {"polluted": True},
        "deep": nested(200),
        "long": "<u>" * 60_000,
        "many": list(range(20_000)),
        "wide": {f"key <u>{n}": n for n in range(2_000)},
    }


class Poisoned(NonRetryable):
    """Its name is harmless; what it says is not."""


Nameless = type("<h1 onclick=alert(1)>\u202e", (NonRetryable,), {})


@activity(name=f"{IMAGE}{TEMPLATE}")
async def poison(dose: str) -> dict[str, Any]:
    """Return something nasty."""
    return {"result": ALL, **NASTY}


@activity(name=f"{SCRIPT}\u202e", retry_policy=RetryPolicy(max_retries=0))
async def choke(dose: str) -> None:
    """Fail with something nasty."""
    raise ValueError(ALL)


@dataclass(frozen=True)
class Dose:
    text: str = ALL


class Victim(Actor):
    """Takes whatever it is given, keeps it as its state, and hands it on."""

    @handler
    async def swallow(self, payload: dict[str, Any]) -> None:
        found = await self.call_activity(poison, dose=ALL)
        async with self.saga(f"{SCRIPT}\u202e") as saga:
            await saga.step(poison, dose=ALL)
        self.update_state(**payload, found=found)
        self.send(self.actor_id, "choke", payload)
        self.spawn(Victim, "rest", NASTY, key=f"{KEY}child")

    @handler
    async def rest(self, payload: dict[str, Any]) -> None:
        with contextlib.suppress(EventTimeout):
            await self.wait_for_event(EVENT_NAME, timeout=0.01)

    @handler
    async def choke(self, payload: dict[str, Any]) -> None:
        try:
            await self.call_activity(choke, dose=ALL)
        except Exception as error:
            raise Nameless(f"{ALL}\n{error}\n" + "<br>" * 2_000) from error

    @handler
    async def start(self, dose: Dose) -> None:
        self.send(f"Victim/{KEY}", "swallow", payload())

    @handler
    async def bury(self, dose: Dose) -> None:
        """Fail under a state, a payload and a stack that are larger than any screen."""
        self.update_state(**payload())
        self.send(self.actor_id, "choke", payload())


HOSTILE = Workflow(
    "hostile", "Hostile", "Puts nasty text everywhere.", "What a page must bear.",
    Victim, "start", Dose,
)  # fmt: skip
BURIED = Workflow(
    "buried", "Buried", "Fails under large data.", "What fits on a screen.", Victim, "bury", Dose
)
