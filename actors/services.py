"""The actor services that pages use, installed once by `loomweb.wiring`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors.finder import MessageFinder
from actors.history import HistoryExporter
from actors.inspect import ActorInspector
from actors.redrive import Redrive
from actors.runtime import ActorRuntime
from actors.watch import ActorWatch
from actors.workflow import Workflow


@dataclass(frozen=True, slots=True)
class ActorServices:
    """What the actor pages act through."""

    runtime: ActorRuntime
    workflows: Mapping[str, Workflow]
    inspector: ActorInspector
    histories: HistoryExporter
    redrive: Redrive
    watch: ActorWatch
    messages: MessageFinder


_installed: ActorServices | None = None


def install(services: ActorServices | None) -> None:
    """Set the services of this process; None takes them away."""
    global _installed
    _installed = services


def current() -> ActorServices:
    """Return the installed services.

    Raises:
        RuntimeError: none are installed; the ASGI lifespan or the command has not opened Loom.
    """
    if _installed is None:
        raise RuntimeError("Loom is not open: start it through loomweb.asgi or a manage.py command")
    return _installed
