"""Who asks, as the audit logs name them."""

from __future__ import annotations

from django.http import HttpRequest


async def who_asks(request: HttpRequest) -> str:
    """Return the name by which the logs know whoever asks."""
    user = await request.auser()
    return user.get_username() or getattr(user, "username", "")
