"""The data of a trace's overview chart: spans over time, errors on top."""

from __future__ import annotations

from typing import Any

from tracing.tree import TraceTree
from tracing.waterfall import actor_colours, bounds

MAX_SPANS = 1_500


def overview(tree: TraceTree) -> dict[str, Any]:
    """Return columns for the chart: milliseconds from the start, span ids, colours.

    Above 1,500 spans every n-th is drawn, and `shown` and `total` say so; errors are always drawn.
    """
    begin, end = bounds(tree)
    total = len(tree.spans)
    step = -(-total // MAX_SPANS)
    colours = actor_colours(tree)
    drawn = [
        (number, span)
        for number, span in enumerate(tree.spans)
        if number % step == 0 or span.failed
    ]
    return {
        "duration": (end - begin) / 1e6,
        "shown": len(drawn),
        "total": total,
        "types": [{"name": name, "colour": colour} for name, colour in colours.items()],
        "spans": [
            {
                "id": span.span_id,
                "row": number,
                "x": (span.start_ns - begin) / 1e6,
                "w": ((span.end_ns or end) - span.start_ns) / 1e6,
                "c": colours.get((span.actor or "").partition("/")[0], 0),
                "n": f"{span.actor or ''} {span.name}".strip()[:120],
                "f": span.failed,
            }
            for number, span in drawn
        ],
        "errors": [
            {
                "id": span.span_id,
                "x": (event.time_ns - begin) / 1e6,
                "n": f"{event.error_type or 'failure'} in {span.actor or span.name}"[:120],
            }
            for span in tree.spans
            for event in span.events
            if event.error_type and event.type in ("message:failed", "activity:failed")
        ][:500],
    }
