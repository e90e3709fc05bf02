from django.urls import path

from tracing.pages import (
    audit,
    compare,
    compare_data,
    cost,
    events,
    failures,
    groups,
    ingest,
    last_change,
    panel,
    statistics,
    trace,
    trace_events,
    trace_files,
    trace_rows,
    trace_stream,
    traces,
)

app_name = "tracing"
urlpatterns = [
    path("traces/", traces.traces, name="traces"),
    path("traces/upload/", trace_files.upload, name="trace-upload"),
    path("traces/<str:trace_id>/", trace.trace, name="trace"),
    path("traces/<str:trace_id>/live/", trace.live, name="trace-live"),
    path("traces/<str:trace_id>/rows/", trace_rows.rows, name="trace-rows"),
    path("traces/<str:trace_id>/path/", trace_rows.path, name="trace-path"),
    path("traces/<str:trace_id>/events/", trace_events.events, name="trace-events"),
    path("traces/<str:trace_id>/export/", trace_files.export_trace, name="trace-export"),
    path("traces/<str:trace_id>/stream/", trace_stream.stream, name="trace-stream"),
    path("traces/<str:trace_id>/spans/<str:span_id>/", panel.panel, name="span"),
    path(
        "traces/<str:trace_id>/spans/<str:span_id>/refs/<int:number>/",
        panel.reference,
        name="reference",
    ),
    path(
        "traces/<str:trace_id>/spans/<str:span_id>/last-change/",
        last_change.last_change,
        name="last-change",
    ),
    path(
        "traces/<str:trace_id>/statistics/",
        statistics.trace_statistics,
        name="trace-statistics",
    ),
    path("traces/<str:trace_id>/compare/", compare.with_last_success, name="compare-last"),
    path("traces/<str:trace_id>/compare/<str:other_id>/", compare.traces, name="compare"),
    path(
        "traces/<str:trace_id>/compare/<str:other_id>/data/",
        compare_data.first,
        name="compare-data",
    ),
    path(
        "traces/<str:trace_id>/compare/<str:other_id>/data/<str:span_id>/",
        compare_data.pair,
        name="compare-pair",
    ),
    path("traces/<str:trace_id>/cost/", cost.of_trace, name="trace-cost"),
    path("system/cost/", cost.of_latest, name="cost"),
    path("system/events/", events.events, name="events"),
    path("failures/", failures.failures, name="failures"),
    path("failures/groups/", groups.groups, name="failure-groups"),
    path("v1/traces", ingest.traces, name="otlp"),
    path("audit/", audit.audit, name="audit"),
]
