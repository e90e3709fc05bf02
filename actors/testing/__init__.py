"""For tests of actors: run them in memory on a virtual clock, and replay recorded histories."""

from actors.history import BadHistory
from actors.testing.actor import DeadLetter, TestedActor
from actors.testing.executor import ActivityCall
from actors.testing.harness import ActorHarness
from actors.testing.replay import Mismatch, Replay, replay

__all__ = [
    "ActivityCall",
    "ActorHarness",
    "BadHistory",
    "DeadLetter",
    "Mismatch",
    "Replay",
    "TestedActor",
    "replay",
]
