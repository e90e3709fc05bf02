"""An HTTP proxy in front of the Cosmos server that fails on demand, as networks and accounts do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from tests.cosmos_server import free_port

TRACE_DOCUMENTS = "/colls/trace-events/docs"
NO_ANSWER = 0
"""Counted in place of a status when the connection was closed instead."""
_OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}


class Mode(StrEnum):
    """What happens to a request within the proxy's scope."""

    UP = "up"
    """It is forwarded, and its answer comes back."""
    DOWN = "down"
    """The connection is closed at once; nothing is forwarded."""
    HANG = "hang"
    """Nothing is answered until the mode changes; what was given up by then is not forwarded."""
    SLOW = "slow"
    """It is forwarded after `delay`, also when nobody waits for the answer any more."""
    THROTTLE = "throttle"
    """It is answered with status 429 and `retry_after`."""
    REJECT = "reject"
    """A write is answered with `reject_status`; a read passes."""
    LOSE = "lose"
    """A write is forwarded, and the connection is closed instead of answering; a read passes."""


@dataclass(slots=True)
class Seen:
    """A request within the scope; `status` is None while there is no answer."""

    method: str
    """As in HTTP, but "QUERY" for the POST of a query."""
    at: float
    """The event loop's time of its arrival."""
    mode: Mode
    status: int | None = None

    @property
    def is_write(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH", "DELETE")


class FaultProxy:
    """Forwards to a Cosmos server; fails what is within its scope as `mode` says.

    Args:
        target: the server's endpoint.
        scope: what a path holds that faults apply to; everything else is always forwarded.
    """

    def __init__(self, target: str, *, scope: str = TRACE_DOCUMENTS) -> None:
        self._target = target
        self._scope = scope
        self._port = free_port()
        self._mode = Mode.UP
        self._changed = asyncio.Event()
        self._random = random.Random(7)
        self._connections: set[asyncio.Transport] = set()
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._session: ClientSession | None = None
        self.share = 1.0
        """Of the requests that the mode applies to, how many fail; the others are forwarded."""
        self.delay = 0.05
        self.retry_after = 0.2
        self.reject_status = 400
        self.seen: list[Seen] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def arrived(self, *, writes: bool = False) -> int:
        """Return how many requests (or writes) came within the scope."""
        return sum(1 for seen in self.seen if seen.is_write or not writes)

    def answered(self, *, writes: bool = False) -> int:
        """Return how many requests (or writes) within the scope got an answer."""
        return sum(1 for seen in self.seen if seen.status and (seen.is_write or not writes))

    def counts(self) -> Counter[tuple[str, int]]:
        """Return how many requests within the scope ended, by method and status."""
        return Counter((seen.method, seen.status) for seen in self.seen if seen.status is not None)

    def elapsed(self) -> float:
        """Return the seconds between the first and the latest arrival within the scope."""
        return self.seen[-1].at - self.seen[0].at if self.seen else 0.0

    async def listen(self) -> None:
        """Accept connections, on the same port every time."""
        if self._runner is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=0),
                timeout=ClientTimeout(total=60),
                auto_decompress=False,
            )
            self._runner = web.ServerRunner(web.Server(self._handle))
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()

    async def refuse(self) -> None:
        """Cut every connection and refuse new ones, as when the server's process is gone."""
        assert self._site is not None
        await self._site.stop()
        for transport in list(self._connections):
            transport.abort()
        self._connections.clear()

    async def close(self) -> None:
        """Stop; what still hangs is let go."""
        self.mode = Mode.DOWN
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if request.transport is not None:
            self._connections.add(request.transport)
        if self._scope not in request.path:
            return await self._forward(request, body)
        now = asyncio.get_running_loop().time()
        seen = Seen(_method(request), now, self._mode)
        self.seen.append(seen)
        answer = await self._answer(request, body, seen)
        seen.status = NO_ANSWER if answer is None or _is_gone(request) else answer.status
        if answer is None:
            _cut(request)
            return web.Response()
        return answer

    async def _answer(
        self, request: web.BaseRequest, body: bytes, seen: Seen
    ) -> web.Response | None:
        """Return what is answered, or None to close the connection instead."""
        while self._mode is Mode.HANG:
            await self._changed.wait()
            if _is_gone(request):
                return None
        mode = self._mode
        if mode in (Mode.REJECT, Mode.LOSE) and not seen.is_write:
            mode = Mode.UP
        if mode is Mode.UP or (self.share < 1 and self._random.random() >= self.share):
            return await self._forward(request, body)
        if mode is Mode.DOWN:
            return None
        if mode is Mode.THROTTLE:
            return _refusal(
                429,
                "TooManyRequests",
                {
                    "x-ms-retry-after-ms": str(int(self.retry_after * 1000)),
                    "x-ms-substatus": "3200",
                },
            )
        if mode is Mode.REJECT:
            return _refusal(self.reject_status, "Rejected", {})
        if mode is Mode.SLOW:
            await asyncio.sleep(self.delay)
        answer = await self._forward(request, body)
        return None if mode is Mode.LOSE else answer

    async def _forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        assert self._session is not None
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_CONNECTION
        }
        async with self._session.request(
            request.method,
            URL(self._target + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
        ) as answer:
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={
                    name: value
                    for name, value in answer.headers.items()
                    if name.lower() not in _OF_THE_CONNECTION
                },
            )


@asynccontextmanager
async def fault_proxy(target: str, *, scope: str = TRACE_DOCUMENTS) -> AsyncIterator[FaultProxy]:
    """Run a proxy within the block."""
    proxy = FaultProxy(target, scope=scope)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()


def _method(request: web.BaseRequest) -> str:
    is_query = request.headers.get("x-ms-documentdb-isquery", "").lower() == "true"
    return "QUERY" if is_query else request.method


def _refusal(status: int, code: str, headers: dict[str, str]) -> web.Response:
    body = {"code": code, "message": f"the fault proxy answers {status}"}
    return web.json_response(body, status=status, headers=headers)


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
