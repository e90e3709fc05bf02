"""What the trace pages keep in Django's database: looks at payloads, and remarks on failures."""

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


class FailureRemark(models.Model):
    """What somebody said of a failure group. Nothing is changed: the latest of its kind counts."""

    class Kind(models.TextChoices):
        NOTE = "note"
        RESOLVED = "resolved"
        REOPENED = "reopened"

    fingerprint = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    text = models.CharField(max_length=2_000, blank=True)
    user = models.CharField(max_length=150)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        permissions = (("triage_failures", "Can note and resolve failure groups"),)
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.user} {self.kind} {self.fingerprint}"

    @property
    def at_ns(self) -> int:
        return int(self.at.timestamp() * 1_000_000) * 1_000
