"""Static files, answered before Django: a page asks for dozens, and they need nothing of it.

WhiteNoise finds the files, their compressed forms and their headers. Its middleware is synchronous:
among Django's it would send every request of every page through a thread and back.
"""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO

from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from loomweb.middleware import CONTENT_SECURITY_POLICY

CHUNK = 256 * 1024
_SECURITY = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
)


class StaticFiles:
    """An ASGI application that answers for static files and leaves the rest to another."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._files = WhiteNoiseMiddleware()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        file = self._find(scope["path"]) if scope["type"] == "http" else None
        if file is None:
            await self._application(scope, receive, send)
            return
        answer = file.get_response(scope["method"], _environ(scope))
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers]
        await send(
            {
                "type": "http.response.start",
                "status": int(answer.status),
                "headers": [*headers, *_SECURITY],
            }
        )
        await _send_body(answer.file, send)

    def _find(self, path: str) -> Any:
        if self._files.autorefresh:
            return self._files.find_file(path)
        return self._files.files.get(path)


def _environ(scope: dict[str, Any]) -> dict[str, str]:
    """Return the request's headers as WSGI names them."""
    return {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in scope["headers"]
    }


async def _send_body(file: BinaryIO | None, send: Any) -> None:
    if file is None:
        await send({"type": "http.response.body"})
        return
    with file:
        # The first piece, mostly all there is, comes from the system's memory: no thread for that.
        piece = file.read(CHUNK)
        while len(piece) == CHUNK:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await asyncio.to_thread(file.read, CHUNK)
        await send({"type": "http.response.body", "body": piece})
