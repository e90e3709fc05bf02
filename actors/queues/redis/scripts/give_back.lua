-- ARGV: actor, token, delay, whether the attempt counts, and the wakes that a turn to be parked
-- knew of (empty for a retry).

local actor, token, delay, counts, wakes =
  ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local box = q .. ':box:' .. actor
if not holds(actor, token) then
  return repeated and redis.call('HGET', box, 'settled') == token and 1 or 0
end
local number = number_of(token)
if counts then
  redis.call('HSET', box, 'failed', 1)
else
  redis.call('HINCRBY', q .. ':msg:' .. number, 'attempts', -1)
end
local at = now + delay
if wakes then
  if wakes ~= tonumber(redis.call('HGET', box, 'wakes') or 0) then
    at = now
  end
  redis.call('HSET', box, 'parked', number)
  redis.call('HDEL', box, 'failed')
  redis.call('ZADD', q .. ':parked:' .. type_of(actor), 0, actor)
end
redis.call('HSET', box, 'at', at, 'held', 1, 'settled', token)
redis.call('HDEL', box, 'token')
redis.call('ZREM', q .. ':leased', actor)
redis.call('ZADD', q .. ':held', at, actor)
offer(actor, at)
place(actor)
if at <= now then
  ring()
end
return 1
