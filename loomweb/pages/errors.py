"""Pages for what went wrong: say what failed, what still works, and what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    return render(request, "loomweb/404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, without anything that could fail again."""
    return render(request, "loomweb/500.html", status=500)
