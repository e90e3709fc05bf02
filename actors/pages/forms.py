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
        FieldHint(name, _kind(field), field.get("description", ""), name in required)
        for name, field in described.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(str(value) for value in schema['enum'])}"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    kind = schema.get("type") or "object"
    bounds = [
        f"{word} {schema[key]:,}"
        for key, word in (
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("minLength", "characters: at least"),
            ("maxLength", "characters: at most"),
        )
        if isinstance(schema.get(key), int | float)
    ]
    return ", ".join([str(kind), *bounds])


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
