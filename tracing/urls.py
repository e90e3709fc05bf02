from django.urls import path

from tracing.pages import (
    audit,
    cost,
    events,
    failures,
    groups,
    ingest,
    panel,
    statistics,
    trace,
    traces,
)

app_name = "tracing"
urlpatterns = [
    path("traces/", traces.traces, name="traces"),
    path("traces/<str:trace_id>/", trace.trace, name="trace"),
    path("traces/<str:trace_id>/live/", trace.live, name="trace-live"),
    path("traces/<str:trace_id>/spans/<str:span_id>/", panel.panel, name="span"),
    path(
        "traces/<str:trace_id>/spans/<str:span_id>/refs/<int:number>/",
        panel.reference,
        name="reference",
    ),
    path(
        "traces/<str:trace_id>/statistics/",
        statistics.trace_statistics,
        name="trace-statistics",
    ),
    path("traces/<str:trace_id>/cost/", cost.of_trace, name="trace-cost"),
    path("system/cost/", cost.of_latest, name="cost"),
    path("system/events/", events.events, name="events"),
    path("failures/", failures.failures, name="failures"),
    path("failures/groups/", groups.groups, name="failure-groups"),
    path("v1/traces", ingest.traces, name="otlp"),
    path("audit/", audit.audit, name="audit"),
]
