"""The registry in words: what the page of event types and `docs/events.md` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracing.event import RefKind
from tracing.registry import REGISTRY, Attribute, EventType, Phase, SpanKind

PHASES: Mapping[Phase, str] = {"open": "opens", "close": "closes", "instant": "within"}

SPANS: Mapping[SpanKind, tuple[str, str, str]] = {
    SpanKind.WORKFLOW: (
        "Workflow",
        "A run, from its start until its first message is handled or given up.",
        "the workflow",
    ),
    SpanKind.HTTP: ("Web request", "The request that started a run.", "its method and route"),
    SpanKind.MESSAGE: (
        "Message",
        "A message, from its sending until it is handled or given up, with every attempt.",
        "the message type",
    ),
    SpanKind.ACTIVITY: (
        "Activity",
        "An activity that a turn called, with every attempt.",
        "the activity",
    ),
    SpanKind.FOREIGN: (
        "Foreign span",
        "A span of another service, taken in over OTLP.",
        "what that service called it",
    ),
}
"""Of each kind: its title, what such a span stands for, and what the name of its events is."""

ATTRIBUTES: Mapping[Attribute, str] = {
    Attribute.ACTOR: "Type/id of the actor it happened to or for; of a foreign span, service/kind",
    Attribute.NAME: "what was worked on",
    Attribute.ATTEMPT: "the number of the try; the first is 1",
    Attribute.DURATION: "how long it took, in nanoseconds",
    Attribute.ERROR_TYPE: "the class name of the exception, and never its text",
    Attribute.FINGERPRINT: "a hash that groups failures that are alike",
    Attribute.PEER: "Type/id of the actor that sent the message; none when it came from outside",
}

REFS: Mapping[RefKind, str] = {
    RefKind.MESSAGE: "a message in the archive, by correlation id and message id",
    RefKind.ACTOR_STATE: "an actor's state, by actor and version",
    RefKind.JOURNAL_ENTRY: "entries of an actor's journal, by actor, index and number",
    RefKind.DOCUMENT: "a document, by partition, container and id",
    RefKind.BLOB: "a blob, by container and name",
    RefKind.IDEMPOTENCY: "an activity's idempotency key, by actor",
}

_HEAD = """\
# Events

<!-- Written by `python manage.py event_types > docs/events.md`. Do not edit. -->

Traces consist of events of these {count} types and no others. An event has a type, a trace id, a
span id, its parent's span id and a time; what else it may carry is listed here. It refers to
payloads, states and errors; it never holds one.

An event opens its span, closes it, or happens within. A type in bold reports a failure. The code
stands for the type in stored segments and never changes its meaning.
"""


@dataclass(frozen=True, slots=True)
class Carried:
    """An attribute of an event type; `means` is what is not obvious about it, or ""."""

    attribute: Attribute
    means: str


@dataclass(frozen=True, slots=True)
class Row:
    """An event type as it is shown."""

    type: EventType
    phase: str
    carries: Sequence[Carried]


@dataclass(frozen=True, slots=True)
class Group:
    """The event types of one kind of span.

    Attributes:
        about: what such a span stands for, one sentence.
        named: what the name of its events is.
    """

    kind: SpanKind
    title: str
    about: str
    named: str
    rows: Sequence[Row]


def groups() -> list[Group]:
    """Return every event type, by kind of span, as the registry orders them."""
    return [
        Group(
            kind,
            title,
            about,
            named,
            [_row(type) for type in REGISTRY.values() if type.span is kind],
        )
        for kind, (title, about, named) in SPANS.items()
    ]


def markdown() -> str:
    """Return the text of `docs/events.md`."""
    return "\n".join(_lines()) + "\n"


def _row(type: EventType) -> Row:
    means = {Attribute.DURATION: type.measures, Attribute.NAME: type.named}
    carries = [Carried(attribute, means.get(attribute, "")) for attribute in type.attributes]
    return Row(type, PHASES[type.phase], carries)


def _lines() -> Iterator[str]:
    yield _HEAD.format(count=len(REGISTRY))
    yield "| Reference | Names |"
    yield "|---|---|"
    for ref, names in REFS.items():
        yield f"| `{ref}` | {names} |"
    yield ""
    yield "| Attribute | Says |"
    yield "|---|---|"
    for attribute, says in ATTRIBUTES.items():
        yield f"| `{attribute}` | {says} |"
    for group in groups():
        yield ""
        yield f"## {group.title}"
        yield ""
        yield f"{group.about} `name` is {group.named}."
        yield ""
        yield "| Code | Event | Phase | What happened | References | Attributes |"
        yield "|---|---|---|---|---|---|"
        for row in group.rows:
            yield _table_row(row)


def _table_row(row: Row) -> str:
    type = row.type
    name = f"**`{type.name}`**" if type.failed else f"`{type.name}`"
    refs = ", ".join(f"`{ref}`" for ref in type.refs)
    carries = ", ".join(
        f"`{carried.attribute}` ({carried.means})" if carried.means else f"`{carried.attribute}`"
        for carried in row.carries
    )
    return f"| {type.code} | {name} | {row.phase} | {type.description} | {refs} | {carries} |"
