"""Views that act: what is posted to them is done, and a look at their address leads back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

ActingView = Callable[..., Coroutine[Any, Any, HttpResponse]]


def acts_from(page: str) -> Callable[[ActingView], ActingView]:
    """Let a view of posted forms answer a GET by leading to `page`, which has the same arguments.

    A form that is refused is shown again under the view's own address, with what was typed into
    it. Whoever loads, shares or returns to that address is to find the page, and not an error.
    """

    def decorate(view: ActingView) -> ActingView:
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        async def act(request: HttpRequest, **named: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseRedirect(reverse(page, kwargs=named))
            return await view(request, **named)

        return act

    return decorate
