from django.urls import path

from actors.pages import actor, audit, history, workflows

app_name = "actors"
urlpatterns = [
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<slug:name>/", workflows.workflow, name="workflow"),
    path("actors/<str:actor_type>/<str:key>/", actor.actor, name="actor"),
    path("actors/<str:actor_type>/<str:key>/history/", history.history, name="history"),
    path("actors/<str:actor_type>/<str:key>/events/", actor.send_event, name="send-event"),
    path("actors/<str:actor_type>/<str:key>/cancel/", actor.cancel, name="cancel"),
    path("audit/actors/", audit.audit, name="audit"),
]
