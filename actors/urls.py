from django.urls import path

from actors.pages import workflows

app_name = "actors"
urlpatterns = [
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<slug:name>/", workflows.workflow, name="workflow"),
]
