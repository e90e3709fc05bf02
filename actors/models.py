"""Permissions of the actor pages. No rows: actors live in Loom's own stores."""

from __future__ import annotations

from django.db import models


class Permissions(models.Model):
    """Holds what Django needs to know permissions by."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (("run_workflows", "Can run sample workflows"),)

    def __str__(self) -> str:
        return "permissions of actors"
