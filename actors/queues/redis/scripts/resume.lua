-- ARGV: actor.

local actor = ARGV[3]
local box = q .. ':box:' .. actor
if redis.call('HDEL', box, 'paused') == 1 then
  redis.call('SREM', q .. ':paused', actor)
  local state = redis.call('HMGET', box, 'n', 'at')
  if tonumber(state[1] or 0) == 0 then
    redis.call('DEL', box)
  end
  if state[2] then
    offer(actor, state[2])
    note_oldest(actor)
    ring()
  end
end
