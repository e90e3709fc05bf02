"""What the style guide is made of: sections of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from django.utils.safestring import SafeString

NOWHERE = "#"
"""What is loaded or asked on a real page stays where it is in the guide."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A component in one state."""

    label: str
    html: SafeString


@dataclass(frozen=True, slots=True)
class Section:
    """One component. `wide` samples take a line each."""

    slug: str
    title: str
    about: str
    samples: list[Sample]
    wide: bool = False


class Part(Protocol):
    """Renders a partial as a page does."""

    def __call__(self, template: str, **context: object) -> SafeString: ...
