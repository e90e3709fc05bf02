"""How Loom writes numbers, times and ids."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import template
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tracing.counted import counted
from tracing.jsontree import BRIEF, FULL, SMALL, Budget, plain, tree_lines, visible
from tracing.summary import Summary

register = template.Library()

SPARK_BARS = 31
_SHORT = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_UNITS = (
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "min"),
    *_SHORT,
)


@register.filter
def duration(nanoseconds: int | None) -> str:
    """Write a duration with three digits: 1.42 s, 318 ms, 12.0 µs."""
    if nanoseconds is None:
        return "–"
    for size, unit in _UNITS:
        if abs(nanoseconds) >= size:
            value = nanoseconds / size
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            return f"{value:.{digits}f} {unit}"
    return f"{nanoseconds} ns"


@register.filter
def lasted(trace: Summary) -> SafeString | str:
    """Write how long a trace took, or how long it has run so far; a script may keep that going."""
    if not trace.live:
        return duration(trace.duration_ns)
    so_far = max(trace.duration_ns, time.time_ns() - trace.started_ns)
    return format_html(
        '<span data-so-far="{}" title="The latest event came after {}">{} so far</span>',
        trace.started_ns // 1_000_000,
        duration(trace.duration_ns),
        duration(so_far),
    )


@register.filter
def decade(nanoseconds: int) -> str:
    """Write a power of ten of nanoseconds as the mark of a scale: 1 ms, 10 s, 100 µs."""
    for size, unit in _SHORT:
        if nanoseconds >= size:
            return f"{nanoseconds // size:,} {unit}"
    return f"{nanoseconds} ns"


@register.filter
def count(number: int | None) -> str:
    """Write a number with thousands separators."""
    return "–" if number is None else f"{number:,}"


@register.filter(name="counted")
def counted_of(number: int, nouns: str) -> str:
    """Write a number with its noun: `counted:"message"`, `counted:"entry,entries"`."""
    one, _, many = nouns.partition(",")
    return counted(number, one, many)


@register.filter
def percent(part: float) -> str:
    """Write a share: 0%, 0.4%, 12%."""
    if 0 < part < 0.001:
        return "<0.1%"
    return f"{part:.0%}" if part == 0 or part >= 0.1 else f"{part:.1%}"


@register.filter
def rate(per_second: float) -> str:
    """Write a rate per second, minute or hour, whichever reads best: 12.4/s, 7.3/min."""
    for scale, unit in ((1, "s"), (60, "min"), (3_600, "h")):
        value = per_second * scale
        if value >= 1 or unit == "h":
            break
    return f"{value:,.0f}/{unit}" if value == 0 or value >= 100 else f"{value:.3g}/{unit}"


@register.filter
def size(number: int) -> str:
    """Write a number of bytes: 812 B, 4.2 KB, 1.3 MB."""
    if number < 1_000:
        return f"{number} B"
    if number < 1_000_000:
        return f"{number / 1_000:.1f} KB"
    return f"{number / 1_000_000:.1f} MB"


@register.filter
def when(nanoseconds: int) -> SafeString:
    """Write a time: relative, with the absolute one on hover. A script keeps it current."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    absolute = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>', moment.isoformat(), absolute, absolute
    )


@register.filter
def when_due(nanoseconds: int) -> SafeString:
    """Write a time that something is due at; where there are scripts, it counts down to it."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    at = moment.strftime("%H:%M:%S UTC")
    return format_html('<time datetime="{}" data-due>at {}</time>', moment.isoformat(), at)


@register.filter
def countdown(nanoseconds: int) -> SafeString:
    """Write when something is due: how long until then, which a script counts down."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    absolute = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html(
        '<time datetime="{}" title="{}" data-until>{}</time>',
        moment.isoformat(),
        absolute,
        absolute,
    )


@register.filter
def clock(nanoseconds: int) -> SafeString:
    """Write date, time with milliseconds, and the zone, which a person can switch."""
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    text = moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d} UTC"
    return _absolute(moment, "millisecond", text)


@register.filter
def second(moment: datetime) -> SafeString:
    """Write an aware time to the second, and the zone, which a person can switch."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return _absolute(moment, "second", text)


def _absolute(moment: datetime, style: str, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" data-clock="{}">{}</time>', moment.isoformat(), style, text
    )


@register.filter
def short(identifier: str) -> str:
    """Shorten an id of hex digits to its first eight."""
    return _first(8, identifier)


@register.filter
def short_trace(identifier: str) -> str:
    """Shorten a trace id to the twelve digits of its time and two more, by which it is found."""
    return _first(14, identifier)


def _first(digits: int, identifier: str) -> str:
    text = str(identifier)
    return f"{text[:digits]}…" if len(text) > 16 else text


@register.filter
def clean(text: Any) -> str:
    """Make hostile text visible and bounded; the template escapes it."""
    return visible(plain(text), 4_000)


@register.filter
def head(text: Any, length: int) -> str:
    """Make the beginning of hostile text visible; it says how much is left out."""
    return visible(plain(text), length)


@register.filter
def key_of(actor: str) -> str:
    """Return the key of an actor id "Type/key"."""
    return actor.partition("/")[2]


@register.filter
def type_of(actor: str) -> str:
    """Return the type of an actor id "Type/key"."""
    return actor.partition("/")[0]


@register.filter
def item(mapping: dict[Any, Any], key: Any) -> Any:
    """Look a key up; empty when it is not there."""
    return mapping.get(key, "")


@register.filter
def share(part: int, whole: int) -> str:
    """Write part of whole as per cent for an SVG attribute."""
    return f"{100 * part / whole:.2f}%" if whole else "0%"


@register.filter
def sparkline(counts: Sequence[int]) -> SafeString:
    """Draw counts over time as small bars; neighbours are added up where there are many."""
    per_bar = -(-len(counts) // SPARK_BARS) or 1
    bars = [sum(counts[at : at + per_bar]) for at in range(0, len(counts), per_bar)]
    most = max(bars, default=0)
    path = "".join(
        f"M{3 * at} 16v-{max(2, round(16 * bar / most))}h2V16z"
        for at, bar in enumerate(bars)
        if bar
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} 16" preserveAspectRatio="none" role="img"'
        ' aria-label="{} over the time range"><path d="{}"/></svg>',
        max(1, 3 * len(bars) - 1),
        f"{sum(counts):,}",
        path,
    )


@register.inclusion_tag("tracing/_json.html", takes_context=True)
def json_tree(
    context: Context, value: Any, size: str = "full", paths: str = ""
) -> dict[str, Sequence[Any] | str]:
    """Show a JSON value as a folding tree: "full", "brief" or "small".

    All trees of a page share its `budget`, if it has one. `paths` is an address that takes a
    `path`: each line then asks it for its own.
    """
    budget = getattr(context.get("page"), "budget", None)
    lines = tree_lines(
        value,
        _SIZES[size],
        budget if isinstance(budget, Budget) else None,
        paths=bool(paths),
    )
    return {"lines": lines, "paths": paths}


_SIZES = {"full": FULL, "brief": BRIEF, "small": SMALL}
