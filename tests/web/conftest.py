"""Clients of the pages: the local operator, and people with some permissions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import AsyncClient, override_settings

from loomweb.wiring import Loom
from tracing import Summary

HTMX = {"HX-Request": "true"}


@pytest.fixture
def client(loom: Loom, transactional_db: None) -> AsyncClient:
    """The local operator: no login, every permission."""
    return AsyncClient()


@pytest.fixture
def with_login(loom: Loom, transactional_db: None) -> Any:
    """Settings as they are off this machine: everybody logs in."""
    middleware = [name for name in settings.MIDDLEWARE if "local_operator" not in name]
    assert len(middleware) == len(settings.MIDDLEWARE) - 1
    with override_settings(MIDDLEWARE=middleware):
        yield


@pytest.fixture
def login(with_login: None) -> Callable[..., Awaitable[AsyncClient]]:
    """Return a client of a person who has just these permissions."""

    async def enter(*permissions: str) -> AsyncClient:
        user = await User.objects.acreate_user(f"person-{len(permissions)}", password="x")
        for codename in permissions:
            permission = await Permission.objects.aget(codename=codename)
            await user.user_permissions.aadd(permission)
        client = AsyncClient()
        await client.aforce_login(user)
        return client

    return enter


async def settled(loom: Loom, *, suspended: int = 0) -> list[Summary]:
    """Wait until nothing but suspended turns is under way and all is stored; return the traces."""
    async with asyncio.timeout(30):
        while True:
            depth = await loom.queue.depth()
            busy = loom.worker is not None and loom.worker.stats().running
            if not (depth.ready or depth.delayed != suspended or depth.leased or busy):
                break
            await asyncio.sleep(0.01)
    assert loom.writer is not None
    await loom.writer.flush()
    return (await loom.reader.find_traces(limit=100)).traces


def text(response: Any) -> str:
    return str(response.content.decode())


def panel_links(page: str) -> list[str]:
    """Return the addresses of the rows' panels, in order, each once."""
    links = re.findall(r'w-link" href="(/traces/[0-9a-f]+/spans/[0-9a-f]+/)"', page)
    return list(dict.fromkeys(links))


def tabs_and_references(panel: str) -> set[str]:
    """Return every address that a panel can load."""
    return {
        link.replace("&amp;", "&")
        for link in re.findall(r'hx-get="(/traces/[^"]+)"', panel)
        if "/spans/" in link
    }
