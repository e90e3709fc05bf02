"""What the trace pages keep in Django's database: who looked at payloads."""

from __future__ import annotations

from django.db import models


class PayloadAccess(models.Model):
    """One look at referenced data: a message, a state, a journal or an error."""

    user = models.CharField(max_length=150)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    trace_id = models.CharField(max_length=32)
    span_id = models.CharField(max_length=16)
    tab = models.CharField(max_length=20)

    class Meta:
        default_permissions = ()
        permissions = (
            ("view_payloads", "Can see payloads, states and errors of messages"),
            ("view_audit", "Can see who looked at payloads"),
        )
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.user} saw {self.tab} of {self.trace_id}/{self.span_id}"
