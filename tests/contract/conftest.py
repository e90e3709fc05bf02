"""What the random tests of queues share: every engine, and how their machines are run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.queue_engines import ENGINES, Engine, engine_of

STEPS = 40

Machine = Callable[[asyncio.Runner, Engine], RuleBasedStateMachine]
RunMachine = Callable[[Machine, int], None]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return engine_of(request, tmp_path)


@pytest.fixture
def run_machine(engine: Engine) -> RunMachine:
    """Return what runs a machine on the engine, so many times, with a seed that it prints."""

    def run(machine: Machine, examples: int) -> None:
        seed = random.SystemRandom().getrandbits(32)
        print(f"seed {seed}")
        with asyncio.Runner() as runner:
            run_state_machine_as_test(
                hypothesis.seed(seed)(lambda: machine(runner, engine)),
                settings=hypothesis.settings(
                    max_examples=examples,
                    stateful_step_count=STEPS,
                    deadline=None,
                    database=None,
                ),
            )

    return run
