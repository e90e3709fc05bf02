from django.urls import path

from actors.pages import (
    actor,
    actor_type,
    actors,
    audit,
    dead_letter,
    dead_letters,
    group_retry,
    history,
    letter_counts,
    pausing,
    workflows,
)

app_name = "actors"
urlpatterns = [
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<slug:name>/", workflows.workflow, name="workflow"),
    path("actors/", actors.actors, name="actors"),
    path("actors/<str:actor_type>/", actor_type.actor_type, name="actor-type"),
    path("actors/<str:actor_type>/<str:key>/", actor.actor, name="actor"),
    path("actors/<str:actor_type>/<str:key>/history/", history.history, name="history"),
    path("actors/<str:actor_type>/<str:key>/events/", actor.send_event, name="send-event"),
    path("actors/<str:actor_type>/<str:key>/cancel/", actor.cancel, name="cancel"),
    path("actors/<str:actor_type>/<str:key>/pause/", pausing.pause, name="pause"),
    path("actors/<str:actor_type>/<str:key>/resume/", pausing.resume, name="resume"),
    path("dead-letters/", dead_letters.dead_letters, name="dead-letters"),
    path("dead-letters/retry/", group_retry.group_retry, name="dead-letters-retry"),
    path("dead-letters/counts/", letter_counts.letter_counts, name="dead-letters-counts"),
    path(
        "dead-letters/<str:actor_type>/<str:key>/<str:message_id>/",
        dead_letter.dead_letter,
        name="dead-letter",
    ),
    path(
        "dead-letters/<str:actor_type>/<str:key>/<str:message_id>/retry/",
        dead_letter.retry,
        name="dead-letter-retry",
    ),
    path(
        "dead-letters/<str:actor_type>/<str:key>/<str:message_id>/discard/",
        dead_letter.discard,
        name="dead-letter-discard",
    ),
    path("audit/actors/", audit.audit, name="audit"),
]
