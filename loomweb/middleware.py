"""Middleware of the project: security headers, and the operator of a local machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

GetResponse = Callable[[HttpRequest], Any]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class LocalOperator(AnonymousUser):
    """Whoever sits at this machine: may do everything. Only on loopback, see `require_login`."""

    username = "local operator"  # type: ignore[assignment]

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return True

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        return True


@sync_and_async_middleware
def security_headers(
    get_response: GetResponse,
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Set the Content-Security-Policy: nothing inline, nothing from elsewhere."""

    def finish(response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
        )
        return response

    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponse:
            return finish(await get_response(request))

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponse:
        return finish(get_response(request))

    return middleware


@sync_and_async_middleware
def local_operator(
    get_response: GetResponse,
) -> Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]:
    """Let requests act as the local operator."""

    async def user() -> LocalOperator:
        return LocalOperator()

    def enter(request: HttpRequest) -> None:
        request.user = LocalOperator()
        request.auser = user

    if iscoroutinefunction(get_response):

        async def amiddleware(request: HttpRequest) -> HttpResponse:
            enter(request)
            response: HttpResponse = await get_response(request)
            return response

        return amiddleware

    def middleware(request: HttpRequest) -> HttpResponse:
        enter(request)
        response: HttpResponse = get_response(request)
        return response

    return middleware
