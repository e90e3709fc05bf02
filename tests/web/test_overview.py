"""What Home prepares from statistics: tiles, comparison, time axis, heatmap; and the sparklines."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from actors.queues import Depth
from loomweb import overview
from loomweb.heatmap import LEVELS, MAX_ROWS, MIN_ROWS, heatmap
from tracing import histogram
from tracing.analytics import Edge, Row, Slot, Statistics
from tracing.templatetags.loom import SPARK_BARS, percent, rate, sparkline

S = 1_000_000_000
MINUTE = 60 * S
START = 1_800_000_000 * S


def row(handled: int = 0, failed: int = 0, dead: int = 0, p95: int | None = None) -> Row:
    return Row("", None, handled, failed, dead, 0, p95, p95, p95, None, None)


def slot(at: int, *microseconds: int, failed: int = 0) -> Slot:
    counts: dict[int, int] = {}
    for duration in microseconds:
        histogram.merge(counts, {histogram.bucket_of(duration): 1})
    return Slot(START + at * MINUTE, len(microseconds), failed, None, None, None, counts)


def statistics(total: Row, *slots: Slot, minutes: int = 60, start: int = START) -> Statistics:
    return Statistics(
        *(start, start + minutes * MINUTE, 60, total.handled),
        *(total, [total], [], list(slots), [], []),
    )


def test_tiles_compare_with_the_range_before() -> None:
    now = statistics(row(1_200, 36, 5, 2 * S))
    before = statistics(row(600, 6, 2, 1 * S), start=START - 60 * MINUTE)
    messages, failures, p95, dead = overview.tiles(now, before, now.to_ns)
    assert (messages.value, messages.beside) == ("20/min", "1,200 handled")
    assert messages.change == overview.Change("up", "100%", "10/min")
    assert (failures.value, failures.beside) == ("3.0%", "36 of 1,200")
    assert failures.change == overview.Change("up", "2.0 pts", "1.0%", worse=True)
    assert p95.value == "2.00 s"
    assert p95.change == overview.Change("up", "100%", "1.00 s")
    assert dead.change == overview.Change("up", "3", "2", worse=True)


def test_fewer_failures_are_not_worse_and_slower_is_no_failure() -> None:
    now = statistics(row(100, 0, 0, 5 * S))
    before = statistics(row(100, 10, 3, 1 * S))
    changes = [tile.change for tile in overview.tiles(now, before, now.to_ns)]
    assert [change and change.direction for change in changes] == ["same", "down", "up", "down"]
    assert not any(change and change.worse for change in changes)


def test_nothing_before_is_said_and_not_divided_by() -> None:
    tiles = overview.tiles(statistics(row(5, 1)), statistics(row()), START + 60 * MINUTE)
    assert [tile.note for tile in tiles[:3]] == ["nothing before"] * 3
    assert [tile.change for tile in tiles[:3]] == [None] * 3


def test_a_rate_counts_only_the_time_that_has_passed() -> None:
    now = statistics(row(60))
    assert now.elapsed_seconds(START + 30 * S) == 30
    assert overview.tiles(now, now, START + 30 * S)[0].value == "2/s"
    assert now.elapsed_seconds(now.to_ns + S) == 3_600


@pytest.mark.parametrize(
    ("per_second", "written"),
    [
        (0, "0/h"),
        (0.001, "3.6/h"),
        (0.5, "30/min"),
        (1, "1/s"),
        (12.345, "12.3/s"),
        (1_234.5, "1,234/s"),
    ],
)
def test_a_rate_is_written_in_the_unit_that_reads_best(per_second: float, written: str) -> None:
    assert rate(per_second) == written


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0%"), (0.0004, "<0.1%"), (0.012, "1.2%"), (0.125, "12%"), (1, "100%")],
)
def test_a_share_is_written_short(share: float, written: str) -> None:
    assert percent(share) == written


def test_the_queue_has_tiles_of_its_own() -> None:
    oldest, delayed = overview.queue_tiles(Depth(4, 3, 2, 1, START), START + 12 * S)
    assert (oldest.value, oldest.note) == ("12.0 s", "4 waiting, 2 being handled")
    assert delayed.value == "3"
    assert overview.queue_tiles(Depth(0, 0, 0, 0, None), START)[0].value == "–"


def test_slots_lead_to_their_traces() -> None:
    (found,) = overview.slot_rows(statistics(row(), slot(0, 5)))
    start = START // 1_000_000
    assert found.query == f"from={start}&to={start + 60_000}"
    assert found.label == "08:00"


def test_a_heatmap_counts_every_message_once() -> None:
    slots = [slot(0, 90, 100, 5_000), slot(1), slot(2, 40_000_000, 100)]
    heat = heatmap(slots)
    assert heat is not None
    assert heat.columns == 3
    assert MIN_ROWS <= heat.rows <= MAX_ROWS
    assert sum(messages for _, _, messages in heat.cells) == 5
    assert {column for column, _, _ in heat.cells} == {0, 2}
    assert heat.bounds == sorted(heat.bounds)
    for duration in (90, 40_000_000):
        assert heat.bounds[0] <= duration * 1_000 < heat.bounds[-1]
    for column, found, messages in heat.cells:
        low, high = heat.bounds[found], heat.bounds[found + 1]
        counted = sum(
            n
            for bucket, n in slots[column].latencies.items()
            if low <= histogram.bounds_of(bucket)[0] * 1_000 < high
        )
        assert counted == messages


def test_a_heatmap_is_drawn_with_the_shortest_at_the_bottom_and_the_most_darkest() -> None:
    heat = heatmap([slot(0, *[1_000] * 50), slot(1, 9_000_000)])
    assert heat is not None
    assert len(heat.paths) == LEVELS
    (column, shortest, _) = heat.cells[0]
    assert f"M{column} {heat.rows - 1 - shortest}h1v1h-1z" == heat.paths[-1]
    assert heat.cells[1][1] > shortest
    tops = [float(place.rstrip("%")) for place, _ in heat.labels]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] == 100


@pytest.mark.parametrize("durations", [(0,), (7,), (0, 10**12), (1_000, 1_001)])
def test_a_heatmap_of_extremes_stays_within_its_bounds(durations: tuple[int, ...]) -> None:
    heat = heatmap([slot(0, *durations)])
    assert heat is not None
    assert MIN_ROWS <= heat.rows <= MAX_ROWS
    assert all(0 <= cell[1] < heat.rows for cell in heat.cells)


def test_without_messages_there_is_no_heatmap() -> None:
    assert heatmap([]) is None
    assert heatmap([slot(0)]) is None


def test_chart_data_is_in_milliseconds() -> None:
    found = replace(slot(0, 5), p50=1_500_000)
    now = statistics(row(1), found)
    data = overview.chart_data(now, overview.slot_rows(now), None, [])
    assert data["p50"] == [1.5]
    assert data["p99"] == [None]
    assert data["heat"] is None
    assert (data["handled"], data["failed"], data["slot"]) == ([1], [0], 60_000)


def test_edges_have_bars_and_actor_types_colours() -> None:
    edges = [Edge("Order", "Shipment", 200), Edge("Order", "(others)", 50)]
    assert [found.width for found in overview.edge_rows(edges)] == ["100.0%", "25.0%"]
    assert overview.edge_rows([]) == []
    now = replace(statistics(row()), edges=edges, actor_types=[])
    assert overview.colours(now) == {"Order": 0, "Shipment": 1}


def test_a_sparkline_adds_up_neighbours_and_keeps_what_is_rare() -> None:
    assert sparkline([0, 0]).count("M") == 0
    few = sparkline([1, 0, 4])
    assert re.findall(r"M(\d+) 16v-(\d+)", few) == [("0", "4"), ("6", "16")]
    many = sparkline([1] * 167 + [1_000])
    assert many.count("M") == -(-168 // 6) <= SPARK_BARS
    assert 'aria-label="1,167 over the time range"' in many
    assert "viewBox" in sparkline([])
