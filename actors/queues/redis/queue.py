"""`RedisQueue`: mailboxes in Redis, one script per transition; `mailbox.lua` names the keys."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors.message import Message
from actors.queues.port import DEDUPE_SECONDS, Depth, Lease, Mailbox, MailboxState, Tally
from actors.redis_server import RedisServer, Script
from storage import StorageError

logger = logging.getLogger(__name__)

DEAD_SECONDS = 30 * 24 * 3600
"""How long a dead letter is kept; as long as the document that tells of it."""
BATCH = 500
"""Messages per script: others wait while one runs."""
LISTEN_SECONDS = 30.0
RECONNECT_SECONDS = 1.0

_FOLDER = Path(__file__).parent / "scripts"


def _script(name: str) -> Script:
    shared, own = (_FOLDER / f"{file}.lua" for file in ("mailbox", name))
    return Script(f"{shared.read_text(encoding='utf-8')}\n{own.read_text(encoding='utf-8')}")


_ENQUEUE = _script("enqueue")
_LEASE = _script("lease")
_ACK = _script("ack")
_GIVE_BACK = _script("give_back")
_DEAD_LETTER = _script("dead_letter")
_EXTEND = _script("extend")
_WAKE = _script("wake")
_PAUSE = _script("pause")
_RESUME = _script("resume")
_DEPTH = _script("depth")
_MAILBOXES = _script("mailboxes")
_TALLY = _script("tally")
_PEEK = _script("peek")


class RedisQueue:
    """A `MessageQueue` that any number of machines share.

    Times are those of the Redis server, whatever the machines' clocks say, except a message's
    `not_before_ns`, which its sender's clock made. Whoever waits is told by the server.
    """

    # A server that was restored, or a replica that took over, may lack the latest of it.
    forgets = True

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._key = server.name
        self._changed = asyncio.Event()
        self._next_due = LISTEN_SECONDS
        self._listener: asyncio.Task[None] | None = None
        self._unanswered: dict[tuple[str, ...], str] = {}

    async def close(self) -> None:
        """Stop listening. The server is closed by whoever opened it."""
        listener = self._listener
        while listener is not None and not listener.done():
            # More than once: while it connects, the client takes a cancellation for a time-out.
            listener.cancel()
            await asyncio.wait([listener], timeout=0.1)

    async def enqueue(self, messages: Sequence[Message], *, delay: float = 0.0) -> list[bool]:
        added: list[bool] = []
        for start in range(0, len(messages), BATCH):
            arguments: list[Any] = [_us(delay), secrets.token_hex(8)]
            for message in messages[start : start + BATCH]:
                arguments += (
                    message.message_id,
                    message.actor_id,
                    message.metadata.priority,
                    message.metadata.not_before_ns // 1000,
                    msgspec.json.encode(message.to_document()),
                )
            added += map(bool, await self._server.run(_ENQUEUE, *arguments))
        self._changed.set()
        return added

    async def lease(
        self, actor_types: Collection[str], *, limit: int, seconds: float, owner: str | None = None
    ) -> list[Lease]:
        types = tuple(sorted(actor_types))
        # A call that was not answered may have leased: asked again by its nonce, it tells what.
        lost = self._unanswered.pop(types, None)
        nonce = lost or secrets.token_hex(8)
        try:
            due, taken = await self._server.run(
                _LEASE, _us(seconds), limit, nonce, *types, repeated=lost is not None
            )
        except BaseException:
            self._unanswered[types] = nonce
            raise
        self._next_due = LISTEN_SECONDS if due < 0 else due / 1e6
        return [
            Lease(_message(body), attempt, token.decode(), wakes, again=leases != 1)
            for body, attempt, token, wakes, leases in taken
        ]

    async def ack(self, lease: Lease) -> bool:
        return await self._settle(
            _ACK, lease, lease.message.message_id, lease.token, _us(DEDUPE_SECONDS)
        )

    async def nack(self, lease: Lease, *, delay: float = 0.0, count: bool = True) -> bool:
        return await self._settle(_GIVE_BACK, lease, lease.token, _us(delay), int(count), "")

    async def park(self, lease: Lease, *, seconds: float) -> bool:
        return await self._settle(_GIVE_BACK, lease, lease.token, _us(seconds), 0, lease.wakes)

    async def dead_letter(self, lease: Lease) -> bool:
        return await self._settle(
            _DEAD_LETTER, lease, lease.message.message_id, lease.token, _us(DEAD_SECONDS)
        )

    async def dead(self, message_id: str) -> Message | None:
        known = await self._server.command("GET", f"{self._key}:id:{message_id}")
        dead = None if known is None else re.match(rb"d(\d+)", known)
        if dead is None:
            return None
        body = await self._server.command("HGET", f"{self._key}:msg:{dead[1].decode()}", "body")
        return None if body is None else Message.from_document(msgspec.json.decode(body))

    async def wake(self, actor_id: str) -> None:
        await self._server.run(_WAKE, actor_id)
        self._changed.set()

    async def pause(self, actor_id: str) -> None:
        await self._server.run(_PAUSE, actor_id)

    async def resume(self, actor_id: str) -> None:
        await self._server.run(_RESUME, actor_id)
        self._changed.set()

    async def paused(self, actor_id: str) -> bool:
        return bool(await self._server.command("HEXISTS", f"{self._key}:box:{actor_id}", "paused"))

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[bool]:
        named = [part for lease in leases for part in (lease.message.actor_id, lease.token)]
        return [bool(kept) for kept in await self._server.run(_EXTEND, _us(seconds), *named)]

    async def depth(self) -> Depth:
        ready, delayed, leased, dead, paused, oldest = await self._server.run(_DEPTH)
        return Depth(
            ready, delayed, leased, dead, None if oldest is None else int(oldest) * 1000, paused
        )

    async def waiting(self, actor_id: str) -> int:
        messages, *begun = await self._server.command(
            "HMGET", f"{self._key}:box:{actor_id}", "n", "token", "held", "parked"
        )
        return int(messages or 0) - any(field is not None for field in begun)

    async def parked(self, actor_type: str, *, limit: int) -> list[str]:
        parked = f"{self._key}:parked:{actor_type}"
        found = await self._server.command("ZRANGE", parked, 0, limit - 1)
        return [actor_id.decode() for actor_id in found]

    async def mailboxes(
        self,
        actor_type: str,
        *,
        state: MailboxState | None = None,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[Mailbox]:
        # Bytes, as Redis compares: no id has the byte 255 in it.
        first, last = f"{actor_type}/{prefix}".encode(), after.encode()
        begin = b"(" + last if last >= first else b"[" + first
        return await self._mailboxes(
            f":boxes:{actor_type}" + (f":{state.value}" if state else ""),
            *(limit, begin, b"(" + first + b"\xff"),
        )

    async def oldest(self, state: MailboxState, *, limit: int) -> list[Mailbox]:
        return await self._mailboxes(f":since:{state.value}", limit, b"", b"")

    async def tally(self) -> list[Tally]:
        states = tuple(MailboxState)
        found = await self._server.run(_TALLY, *(state.value for state in states))
        tallies = [
            Tally(
                name.decode(),
                {state: n for state, n in zip(states, counts, strict=True) if n},
                messages,
            )
            for name, messages, *counts in found
        ]
        return sorted(tallies, key=lambda tally: tally.actor_type)

    async def peek(self, actor_id: str, *, limit: int) -> list[Message]:
        return [_message(body) for body in await self._server.run(_PEEK, actor_id, limit)]

    async def wait(
        self,
        within: float,
        actor_types: Collection[str],
        *,
        limit: int,
        seconds: float,
        owner: str | None = None,
    ) -> list[Lease]:
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="queue notices")
        try:
            async with asyncio.timeout(min(within, max(self._next_due, 0.001))):
                await self._changed.wait()
        except TimeoutError:
            return []
        self._changed.clear()
        return []

    async def _mailboxes(self, key: str, limit: int, begin: bytes, end: bytes) -> list[Mailbox]:
        return [
            Mailbox(actor.decode(), MailboxState(state.decode()), None, 0, None, None, messages)
            if body is None
            else Mailbox(
                *(actor.decode(), MailboxState(state.decode()), _message(body), int(attempts)),
                *(int(at), int(enqueued), messages - 1),
            )
            for actor, state, messages, at, body, attempts, enqueued in await self._server.run(
                _MAILBOXES, key, limit, begin, end
            )
        ]

    async def _settle(self, script: Script, lease: Lease, *arguments: Any) -> bool:
        done = bool(await self._server.run(script, lease.message.actor_id, *arguments))
        self._changed.set()
        return done

    async def _listen(self) -> None:
        told = False
        while True:
            try:
                async with self._server.listening(f"{self._key}:ready") as notice:
                    # What came before the subscription was not told.
                    self._changed.set()
                    told = False
                    while True:
                        if await notice(LISTEN_SECONDS):
                            self._changed.set()
            except StorageError as error:
                if not told:
                    logger.warning("no notices of new messages (%s); looking by itself", error)
                told = True
                await asyncio.sleep(RECONNECT_SECONDS)


def _message(body: bytes) -> Message:
    return Message.from_document(msgspec.json.decode(body))


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
