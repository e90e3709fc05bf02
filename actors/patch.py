"""JSON Merge Patch (RFC 7396), as `update_state` applies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `target` with `patch` merged in; neither is changed.

    Objects merge by key, None removes a key, everything else (arrays too) replaces. Nesting is
    bounded by what the JSON encoder accepts, so recursion is.
    """
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            old = merged.get(key)
            merged[key] = merge_patch(old if isinstance(old, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
