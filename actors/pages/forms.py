"""A form made from a workflow's input type."""

from __future__ import annotations

from typing import Any

import msgspec
from django import forms


def schema_of(input_type: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a dataclass's fields, by name."""
    (schema,), definitions = msgspec.json.schema_components([input_type])
    name = str(schema["$ref"]).rpartition("/")[2]
    properties: dict[str, Any] = definitions[name]["properties"]
    return properties


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
