"""Permissions of the actor pages, and who looked at an actor or acted on it there.

Actors themselves live in Loom's own stores.
"""

from __future__ import annotations

from django.db import models


class Permissions(models.Model):
    """Holds what Django needs to know permissions by."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("run_workflows", "Can run sample workflows"),
            ("resolve_dead_letters", "Can retry and discard dead letters"),
        )

    def __str__(self) -> str:
        return "permissions of actors"


class ActorAccess(models.Model):
    """One look at an actor's state and journal, or one thing that a person did to it."""

    user = models.CharField(max_length=150)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor_id = models.CharField(max_length=300)
    action = models.CharField(max_length=120)

    class Meta:
        default_permissions = ()
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.user} {self.action} {self.actor_id}"
