"""A form made from a workflow's input type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from django import forms


def schema_of(input_type: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a dataclass's fields, by name."""
    (schema,), definitions = msgspec.json.schema_components([input_type])
    name = str(schema["$ref"]).rpartition("/")[2]
    properties: dict[str, Any] = definitions[name]["properties"]
    return properties


@dataclass(frozen=True, slots=True)
class FieldHint:
    """A field of an input type in words: its name, what it holds, and what it is for."""

    name: str
    kind: str
    help: str
    required: bool


def field_hints(input_type: Any) -> list[FieldHint]:
    """Return what whoever types a payload needs to know; empty where there is nothing to tell."""
    try:
        (schema,), definitions = msgspec.json.schema_components([input_type])
    except TypeError:
        # Nothing obliges a handler to take what has a schema.
        return []
    described = definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {})
    required = described.get("required", ())
    return [
        FieldHint(name, _kind(field, definitions), field.get("description", ""), name in required)
        for name, field in described.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    # An enumeration is described apart; an object's name would tell whoever types nothing.
    schema = {**definitions.get(str(schema.get("$ref", "")).rpartition("/")[2], {}), **schema}
    if "enum" in schema:
        return f"one of {', '.join(str(value) for value in schema['enum'])}"
    if "anyOf" in schema:
        return " or ".join(_kind(option, definitions) for option in schema["anyOf"])
    kind = str(schema.get("type") or "object")
    number = _between(schema.get("minimum"), schema.get("maximum"))
    length = _between(schema.get("minLength"), schema.get("maxLength"))
    if number:
        return f"{kind}, {number}"
    return f"{kind}, {length} characters" if length else kind


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f"at most {most:,}"
    return f"at least {least:,}" if most is None else f"{least:,} to {most:,}"


def form_class(input_type: type[Any], *, prefix: str) -> type[forms.Form]:
    """Return a form with a field per field of the input type; its defaults fill it."""
    fields = {name: _field(name, schema) for name, schema in schema_of(input_type).items()}
    return type(
        "InputForm", (forms.Form,), {**fields, "prefix": prefix, "use_required_attribute": True}
    )


def _field(name: str, schema: dict[str, Any]) -> forms.Field:
    label = name.replace("_", " ").capitalize()
    common: dict[str, Any] = {
        "label": label,
        "initial": schema.get("default"),
        "help_text": schema.get("description", ""),
    }
    choices = schema.get("enum")
    if choices:
        return forms.ChoiceField(choices=[(value, value) for value in choices], **common)
    kind = schema.get("type")
    if kind == "integer":
        return forms.IntegerField(
            min_value=schema.get("minimum"), max_value=schema.get("maximum"), **common
        )
    if kind == "number":
        return forms.FloatField(
            min_value=schema.get("minimum"), max_value=schema.get("maximum"), **common
        )
    if kind == "boolean":
        return forms.BooleanField(required=False, **common)
    return forms.CharField(
        min_length=schema.get("minLength"), max_length=schema.get("maxLength", 10_000), **common
    )


MAX_TIMES = 100
"""Runs that one click starts at most."""


class TimesForm(forms.Form):
    """How many runs to start with the same input."""

    times = forms.IntegerField(
        min_value=1, max_value=MAX_TIMES, initial=1, label="Times", help_text=f"1 to {MAX_TIMES}"
    )
