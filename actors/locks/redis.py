"""Locks in Redis, among the workers of all machines. Needs the package redis."""

from __future__ import annotations

from collections.abc import Sequence

from actors.redis_server import RedisServer, Script

# A lock is the string "<until> <owner>". It expires by itself too, to leave nothing behind.
_SHARED = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local owner = ARGV[3]

local function key(actor)
  return KEYS[1] .. ':lock:' .. actor
end

-- Whose it is; nothing when nobody's.
local function holder(actor)
  local until_us, name = string.match(redis.call('GET', key(actor)) or '', '^(%d+) (.*)$')
  return until_us and tonumber(until_us) > now and name
end

local function hold(actor, length)
  local value = string.format('%.0f %s', now + length, owner)
  redis.call('SET', key(actor), value, 'PX', math.max(1, math.ceil(length / 1000)))
end
"""

_ACQUIRE = Script(
    _SHARED
    + """
local actor, length = ARGV[4], tonumber(ARGV[5])
local found = holder(actor)
if found and found ~= owner then
  return 0
end
hold(actor, length)
return 1
"""
)

_RENEW = Script(
    _SHARED
    + """
local kept = {}
for i = 5, #ARGV do
  local ours = holder(ARGV[i]) == owner
  if ours then
    hold(ARGV[i], tonumber(ARGV[4]))
  end
  kept[#kept + 1] = ours and 1 or 0
end
return kept
"""
)

_RELEASE = Script(
    _SHARED
    + """
if holder(ARGV[4]) == owner then
  redis.call('DEL', key(ARGV[4]))
end
"""
)


class RedisLocks:
    """Locks among the workers of all machines, by the Redis server's clock."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    async def acquire(self, actor_id: str, owner: str, seconds: float) -> bool:
        return bool(await self._server.run(_ACQUIRE, owner, actor_id, int(seconds * 1e6)))

    async def renew(self, actor_ids: Sequence[str], owner: str, seconds: float) -> list[bool]:
        kept = await self._server.run(_RENEW, owner, int(seconds * 1e6), *actor_ids)
        return [bool(held) for held in kept]

    async def release(self, actor_id: str, owner: str) -> None:
        await self._server.run(_RELEASE, owner, actor_id)
