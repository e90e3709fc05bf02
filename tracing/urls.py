from django.urls import path

from tracing.pages import audit, failures, ingest, panel, trace, traces

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
    path("failures/", failures.failures, name="failures"),
    path("v1/traces", ingest.traces, name="otlp"),
    path("audit/", audit.audit, name="audit"),
]
