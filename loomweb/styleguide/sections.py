"""What the style guide shows: sections of samples, each rendered by a partial of the pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from actors.pages.forms import TimesForm, form_class
from actors.pages.workflows import WaitingRun, WorkflowCard, WorkflowsPage
from actors.queues import Depth
from actors.samples import WORKFLOWS
from loomweb import overview
from loomweb.styleguide import example
from loomweb.styleguide.running import Running
from loomweb.styleguide.section import NOWHERE, Sample, Section
from tracing import histogram
from tracing.analytics import Edge, FailureGroup, Row, Slot, Statistics
from tracing.changes import ChangedBy, LastChange
from tracing.filters import TracePage
from tracing.jsontree import Budget
from tracing.pages.groups import GroupList, rows_of
from tracing.pages.last_change import ChangeView
from tracing.pages.listing import Place
from tracing.pages.panel import panel_view
from tracing.pages.pointers import Pointer
from tracing.pages.scatter import scatter
from tracing.pages.statistics import statistics_view
from tracing.pages.subject import Subject
from tracing.pages.trace import view_of
from tracing.pages.traces import NewerPage, TracesForm, TracesPage
from tracing.resolve import Outcome, Resolved
from tracing.waterfall import COLOURS


class Guide:
    """Renders the partials as a page does, for one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def sections(self) -> list[Section]:
        """Return every component in every state."""
        return [
            self._controls(),
            self._fields(),
            self._filters(),
            self._statuses(),
            self._chips(),
            self._actors(),
            self._tiles(),
            self._lists(),
            self._groups(),
            self._pagers(),
            self._scatter(),
            self._waterfall(),
            self._panels(),
            self._json(),
            self._diff(),
            self._changes(),
            self._statistics(),
            *Running(self._part).sections(),
            self._waits(),
            self._empty(),
            self._problems(),
        ]

    def _part(self, template: str, **context: object) -> SafeString:
        return render_to_string(template, context, self._request)

    def _controls(self) -> Section:
        part = self._part("loomweb/styleguide/_controls.html")
        about = "One primary button a form; quiet ones beside it. Tab shows the focus ring."
        return Section("controls", "Buttons, keys, tags", about, [Sample("All kinds", part)], True)

    def _fields(self) -> Section:
        order = WORKFLOWS["order"]
        forms = {name: form_class(order.input_type, prefix=name) for name in ("new", "bad", "not")}
        mistaken = {"bad-item": "", "bad-quantity": "0", "bad-restocked_after": "1"}
        waiting = [WaitingRun("Order/42", NOWHERE)]
        fresh = WorkflowCard(order, forms["new"](), waiting, True, TimesForm(prefix="new"))
        denied = WorkflowCard(order, forms["not"](), [], False, TimesForm(prefix="not"))
        wrong = WorkflowCard(
            order,
            forms["bad"](mistaken),
            [],
            False,
            TimesForm({"bad-times": "200"}, prefix="bad"),
            note="The input of Order/42, ready to be changed.",
            problem="The queue does not answer. Nothing was started.",
        )
        samples = [
            Sample(label, self._part("actors/_card.html", card=card, page=WorkflowsPage([], may)))
            for label, card, may in (
                ("With defaults", fresh, True),
                ("Refused", wrong, True),
                ("Without the permission", denied, False),
            )
        ]
        return Section("forms", "Cards and forms", "Made from a workflow's input type.", samples)

    def _filters(self) -> Section:
        empty = TracesForm({}, auto_id="empty_%s")
        set_ = TracesForm({"status": "failed", "least": "soon"}, auto_id="set_%s")
        samples = [
            Sample("Empty", self._part("tracing/_filters.html", page=self._traces([], form=empty))),
            Sample(
                "Set by a chart, with a mistake",
                self._part(
                    "tracing/_filters.html",
                    page=self._traces(
                        [], form=set_, between=(example.START, example.START + 60_000_000_000)
                    ),
                ),
            ),
        ]
        return Section("filters", "Filters", "All of them stand in the address.", samples, True)

    def _statuses(self) -> Section:
        names = ("running", "completed", "recovered", "failed", "retrying", "dead_lettered")
        samples = [Sample(name, self._part("tracing/_status.html", status=name)) for name in names]
        about = "Each has its own icon: never colour alone."
        return Section("status", "Status", about, samples)

    def _chips(self) -> Section:
        details = {
            Outcome.EXPIRED: "expired on 2026-11-01 by its 7-day TTL",
            Outcome.FORBIDDEN: "seeing it needs a permission",
            Outcome.MISSING: "nothing is stored under this id",
            Outcome.UNREADABLE: "the store did not answer in time",
        }
        not_asked = Pointer(example.MESSAGE, NOWHERE)
        chip = self._part("tracing/_chip.html", pointer=not_asked)
        samples = [
            Sample("not asked for", chip),
            # What the script of a page adds while it waits, and when nothing came.
            Sample("loading", mark_safe(chip.replace("chip ask", "chip ask htmx-request"))),  # noqa: S308
            Sample("not answered", mark_safe(chip.replace("<a ", "<a data-failed ", 1))),  # noqa: S308
        ]
        for outcome in Outcome:
            resolved = Resolved(example.DOCUMENT, outcome, {}, details.get(outcome, ""))
            pointer = Pointer(example.DOCUMENT, NOWHERE, resolved)
            samples.append(Sample(outcome.value, self._part("tracing/_chip.html", pointer=pointer)))
        named = self._part("tracing/_chip.html", pointer=Pointer(example.KEY, NOWHERE))
        samples.append(Sample("stored nowhere", named))
        about = "Every reference, and what became of following it: border, icon and word differ."
        return Section("references", "Reference chips", about, samples)

    def _actors(self) -> Section:
        part = self._part("loomweb/styleguide/_actors.html", colours=range(COLOURS))
        about = "One colour per actor type, assigned by sorted type; none is red."
        return Section("actors", "Actor colours", about, [Sample("Twenty", part)], True)

    def _tiles(self) -> Section:
        now, before = _numbers(400, 12, 90), _numbers(310, 4, 60)
        depth = Depth(ready=3, delayed=1, leased=2, dead=1, oldest_ready_ns=now.to_ns)
        shown = {
            "Against the period before": (
                overview.tiles(now, before, now.to_ns),
                overview.queue_tiles(depth, now.to_ns + 4_200_000_000),
            ),
            "Nothing before; the queue does not answer": (
                overview.tiles(now, _numbers(0, 0, 0), now.to_ns),
                [],
            ),
        }
        samples = [
            Sample(
                label,
                self._part(
                    "loomweb/_tiles.html",
                    page={"numbers": {"tiles": tiles}, "queue": queue, "since": "1h"},
                ),
            )
            for label, (tiles, queue) in shown.items()
        ]
        return Section("tiles", "Tiles", "A number, and what it was before.", samples, True)

    def _traces(self, found: list[object], **more: object) -> TracesPage:
        page = TracesPage(
            form=TracesForm({}),
            page=TracePage([], None),
            place=Place(False, None, None),
            problem=None,
            between=None,
            scatter=None,
            newer=None,
        )
        return replace(page, **more)  # type: ignore[arg-type]

    def _lists(self) -> Section:
        page = self._traces([], page=TracePage(example.summaries(), None))
        newer = NewerPage(12, more=False, ask=NOWHERE, address=NOWHERE)
        pill = self._part("loomweb/styleguide/_pill.html", page=newer)
        samples = [
            Sample("Every status", self._part("tracing/_traces.html", page=page)),
            Sample("Newer ones wait", pill),
        ]
        about = "Numbers to the right, in figures of one width; a row is one link."
        return Section("lists", "Tables", about, samples, True)

    def _groups(self) -> Section:
        groups = [
            _group("OutOfStock", "ec6d4fa1128672ef", (0, 1, 0, 4, 9, 2), dead=3),
            _group("ActivityFailed", "a5771bce93c83f01", (0, 0, 0, 0, 0, 1), dead=0),
        ]
        rows = rows_of(groups, "24h", {})
        table = self._part("tracing/_group_table.html", rows=rows, samples=False)
        only = GroupList(rows[:1], 0, "last 24 hours", groups[0].fingerprint, None)
        facts = self._part("tracing/_groups.html", page={"groups": only})
        edges = overview.edge_rows([Edge("Order", "Shipment", 240), Edge("Order", "Order", 31)])
        colours = {"Order": 0, "Shipment": 1}
        more = self._part("loomweb/_edges.html", rows=edges, numbers={"colours": colours})
        samples = [
            Sample("Groups", table),
            Sample("One group", facts),
            Sample("Who sends to whom", more),
        ]
        return Section("groups", "Failure groups", "Counted by fingerprint.", samples, True)

    def _pagers(self) -> Section:
        places = {
            "first page": Place(False, NOWHERE, None),
            "in between": Place(True, NOWHERE, NOWHERE),
            "last page": Place(False, None, NOWHERE),
        }
        samples = [
            Sample(label, self._part("tracing/_pager.html", page={"place": place}))
            for label, place in places.items()
        ]
        return Section("pager", "Pager", "By key, never by number.", samples)

    def _scatter(self) -> Section:
        found = TracePage(example.summaries(), None)
        key = self._part("tracing/_scatter_key.html")
        plot = self._part("tracing/_scatter.html", scatter=scatter(found))
        samples = [Sample("Key", key), Sample("Points", plot)]
        return Section("scatter", "Scatter", "A shape per status.", samples, True)

    def _waterfall(self) -> Section:
        tree = example.tree()
        failing = next(span.span_id for span in tree.spans if span.name == "reserve")
        view = replace(view_of(self._request, tree), selected=failing)
        samples = [
            Sample("Head", self._part("tracing/_trace_head.html", page=view)),
            Sample(
                "Hollow: waiting; solid: handling; hatched: backing off; faint: not ended."
                " A solid triangle failed itself, below a hollow one something failed",
                self._part("tracing/_waterfall.html", page=view),
            ),
        ]
        return Section("waterfall", "Waterfall", "28 px rows, bars of 2 px or more.", samples, True)

    def _panels(self) -> Section:
        tree, loaded = example.tree(), example.loaded()
        wanted = (
            ("reserve", "error"),
            ("place", "message"),
            ("place", "state"),
            ("look_at_shelf", "journal"),
            ("place", "effects"),
            ("place", "raw"),
        )
        samples = []
        for name, tab in wanted:
            span = next(span for span in tree.spans if span.name == name)
            view = panel_view(Subject.of(tree, span), tab, loaded)
            part = self._part("tracing/_panel.html", page=view)
            samples.append(Sample(tab.capitalize(), part))
        lost = next(span for span in tree.spans if span.name == "reserve")
        gone = {
            ref: Resolved(ref, Outcome.EXPIRED, detail="expired on 2026-11-01") for ref in loaded
        }
        view = panel_view(Subject.of(tree, lost), "error", gone)
        samples.append(Sample("Error, expired", self._part("tracing/_panel.html", page=view)))
        return Section("panels", "Detail panel", "Tabs, references, stack frames.", samples)

    def _json(self) -> Section:
        nested: object = "bottom"
        for level in range(80):
            nested = {f"level {level}": nested}
        values: dict[str, object] = {
            "Every type": example.PAYLOAD,
            "Too deep": nested,
            "Too long": ["x" * 4_000, *range(60)],
            "Hostile": {"<b>bold</b>": "<script>alert(1)</script>\u202e\x00", "": "{{ 7|add:1 }}"},
        }
        samples = [
            Sample(
                label,
                self._part("loomweb/styleguide/_json.html", page={"budget": Budget()}, value=value),
            )
            for label, value in values.items()
        ]
        return Section("json", "JSON tree", "Folds, and is bounded.", samples)

    def _diff(self) -> Section:
        tree, loaded = example.tree(), example.loaded()
        span = next(span for span in tree.spans if span.name == "place")
        (state,) = panel_view(Subject.of(tree, span), "state", loaded).states
        part = self._part(
            "tracing/_diff.html", changes=state.many[0], more=3, state=state, asks=False
        )
        return Section("diff", "Difference", "By path.", [Sample("Three changes", part)])

    def _changes(self) -> Section:
        tree = example.tree()
        span = tree.spans[0]
        by = ChangedBy(
            example.MESSAGE.id,
            example.START,
            11,
            "reserve",
            example.ORDER,
            example.TRACE_ID,
            span.span_id,
        )
        answers = {
            "found": LastChange(by, "found", 4, 7),
            "never": LastChange(None, "start", 11, 0),
            "expired": LastChange(None, "expired", 8, 3),
        }
        samples = [
            Sample(
                label,
                self._part(
                    "tracing/_last_change.html",
                    page=ChangeView(
                        example.TRACE_ID, span, example.ORDER, "$.status", found, problem=""
                    ),
                ),
            )
            for label, found in answers.items()
        ]
        return Section("last-change", "Who changed it", "Below the line asked about.", samples)

    def _statistics(self) -> Section:
        view = statistics_view(example.tree())
        part = self._part("tracing/_statistics.html", page=view)
        about = "By kind of work, and along the critical path."
        return Section("statistics", "Statistics", about, [Sample("A trace", part)], True)

    def _waits(self) -> Section:
        part = self._part("loomweb/styleguide/_waits.html", moment=datetime.now(UTC))
        about = "A spinner, a pulse, times. Still where motion is to be reduced."
        return Section("motion", "Motion and time", about, [Sample("All", part)], True)

    def _empty(self) -> Section:
        filtered = self._traces([], place=Place(True, None, None))
        samples = [
            Sample("Nothing yet", self._part("tracing/_traces.html", page=self._traces([]))),
            Sample("Nothing matches", self._part("tracing/_traces.html", page=filtered)),
        ]
        return Section("empty", "Empty states", "Say what to do next.", samples)

    def _problems(self) -> Section:
        page = self._traces(
            [], problem="The trace store does not answer (Unavailable). Runs go on without it."
        )
        samples = [
            Sample("A list", self._part("tracing/_traces.html", page=page)),
            Sample("Notices", self._part("loomweb/styleguide/_notices.html")),
        ]
        about = "Say what failed, and what still works."
        return Section("problems", "Errors and notices", about, samples)


def _group(error: str, fingerprint: str, line: tuple[int, ...], dead: int) -> FailureGroup:
    return FailureGroup(
        fingerprint=fingerprint,
        error_type=error,
        actor_type="Order",
        message_type="reserve",
        failures=sum(line),
        dead_letters=dead,
        first_ns=example.START - 86_400_000_000_000,
        last_ns=example.START,
        trace_id=example.TRACE_ID,
        span_id=f"{4:016x}",
        sparkline=line,
    )


def _numbers(handled: int, failed: int, milliseconds: int) -> Statistics:
    p50, p95 = (milliseconds * 1_000_000 // 4, milliseconds * 1_000_000) if handled else (None,) * 2
    row = Row("Order", None, handled, failed, failed // 4, failed, p50, p95, p95, p50, p95)
    latencies = {histogram.bucket_of(milliseconds * 1_000): handled}
    slot = Slot(example.START, handled, failed, p50, p95, p95, latencies)
    end = example.START + 60_000_000_000
    return Statistics(
        example.START, end, 60, handled, row, [row], [row], [slot], groups=[], edges=[]
    )
