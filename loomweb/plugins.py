"""Actors of one's own: the modules that LOOM_ACTORS names, beside the samples."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from actors import Actor, Workflow
from actors.samples import ACTOR_TYPES, WORKFLOWS
from loomweb.config import ConfigError


@dataclass(frozen=True, slots=True)
class Served:
    """What this process's workers handle, and what its Workflows page offers."""

    actor_types: tuple[type[Actor], ...]
    workflows: dict[str, Workflow]


def load_actors(modules: Sequence[str]) -> Served:
    """Import `modules` and add the `Actor` classes and `Workflow`s defined in them to the samples.

    Raises:
        ConfigError: a module cannot be imported, holds no actor, or repeats a name.
    """
    types = {kind.type_name(): kind for kind in ACTOR_TYPES}
    workflows = dict(WORKFLOWS)
    for name in modules:
        found = _actors_in(name)
        if not found.actor_types:
            raise ConfigError(f"LOOM_ACTORS: the module {name} defines no Actor")
        for kind in found.actor_types:
            if types.setdefault(kind.type_name(), kind) is not kind:
                raise ConfigError(f"LOOM_ACTORS: {name} defines {kind.type_name()} a second time")
        for workflow in found.workflows.values():
            if workflows.setdefault(workflow.name, workflow) is not workflow:
                raise ConfigError(f"LOOM_ACTORS: {name} defines the workflow {workflow.name} again")
    return Served(tuple(types.values()), workflows)


def _actors_in(name: str) -> Served:
    try:
        module = importlib.import_module(name)
    except Exception as error:  # the border to user code: whatever its import raises
        raise ConfigError(
            f"LOOM_ACTORS: the module {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    values = vars(module).values()
    kinds = tuple(
        value
        for value in values
        if isinstance(value, type) and issubclass(value, Actor) and value.__module__ == name
    )
    return Served(kinds, {v.name: v for v in values if isinstance(v, Workflow)})
