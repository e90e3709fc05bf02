-- ARGV: actor, message id, token, how long the id stays known.

local actor, id, token, window = ARGV[3], q .. ':id:' .. ARGV[4], ARGV[5], tonumber(ARGV[6])
if not holds(actor, token) then
  local known = redis.call('GET', id)
  return repeated and known and string.match(known, '^a%d+:(.*)$') == token and 1 or 0
end
redis.call('DEL', q .. ':msg:' .. number_of(token))
redis.call('SET', id, 'a' .. digits(now + window) .. ':' .. token, 'PX', window / 1000)
remove(actor, number_of(token))
return 1
