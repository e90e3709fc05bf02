"""Labels: what a handler may write into its trace, closed in advance so that no payload can be."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from actors.errors import UnknownLabel

Labels = Mapping[str, Collection[str]]
"""The labels of an actor type: each name with the values that it may have."""
MAX_LABELS = 20
MAX_VALUES = 50

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}\Z")


def check_labels(labels: Labels, owner: str) -> None:
    """Raise `TypeError` when what an actor type declares as its labels is too much or malformed."""
    if len(labels) > MAX_LABELS:
        raise TypeError(f"{owner}: more than {MAX_LABELS} labels")
    for name, values in labels.items():
        if not _NAME.match(name):
            raise TypeError(
                f"{owner}: {name!r} is no name of a label: a lower-case identifier of at most 32"
            )
        if isinstance(values, str) or not 0 < len(values) <= MAX_VALUES:
            raise TypeError(f"{owner}: the label {name} needs 1 to {MAX_VALUES} values")
        for value in values:
            if not isinstance(value, str) or not _VALUE.match(value):
                raise TypeError(f"{owner}: {value!r} is no value of a label: at most 64 letters")


def declared(labels: Labels, given: Mapping[str, str], owner: str) -> list[str]:
    """Return the given labels as "name=value".

    Raises:
        UnknownLabel: one of them is not declared. What was given is not repeated in the text.
    """
    for name, value in given.items():
        if name not in labels:
            raise UnknownLabel(f"{owner} declares no label of this name: add it to its `labels`")
        if value not in labels[name]:
            raise UnknownLabel(f"{owner} declares no such value of the label {name}")
    return [f"{name}={value}" for name, value in given.items()]
