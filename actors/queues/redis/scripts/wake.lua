-- ARGV: actor.

local actor = ARGV[3]
local box = q .. ':box:' .. actor
if redis.call('EXISTS', box) == 1 then
  redis.call('HINCRBY', box, 'wakes', 1)
  local state = redis.call('HMGET', box, 'parked', 'held')
  if state[1] and state[2] then
    redis.call('HSET', box, 'at', now)
    redis.call('ZADD', q .. ':held', now, actor)
    offer(actor, now)
    ring()
  end
end
