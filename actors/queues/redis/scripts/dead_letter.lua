-- ARGV: actor, message id, token, how long dead letters are kept.

local actor, id, token, kept = ARGV[3], q .. ':id:' .. ARGV[4], ARGV[5], tonumber(ARGV[6])
if not holds(actor, token) then
  return repeated and redis.call('GET', id) == 'd' .. token and 1 or 0
end
redis.call('SET', id, 'd' .. token)
redis.call('ZADD', q .. ':dead', now, number_of(token))
remove(actor, number_of(token))
local old = redis.call('ZRANGEBYSCORE', q .. ':dead', '-inf', now - kept, 'LIMIT', 0, 100)
for _, number in ipairs(old) do
  local message = q .. ':msg:' .. number
  redis.call('DEL', q .. ':id:' .. redis.call('HGET', message, 'id'), message)
  redis.call('ZREM', q .. ':dead', number)
end
return 1
