-- ARGV: actor.

local actor = ARGV[3]
local box = q .. ':box:' .. actor
if redis.call('HDEL', box, 'paused') == 1 then
  redis.call('SREM', q .. ':paused', actor)
  local at = redis.call('HGET', box, 'at')
  place(actor)
  if at then
    offer(actor, at)
    note_oldest(actor)
    ring()
  end
end
