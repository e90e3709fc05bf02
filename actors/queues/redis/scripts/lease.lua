-- ARGV: how long, how many, the call's nonce, then actor types.
-- Answers microseconds until something else may be ready (-1: nothing is in sight), then per lease:
-- body, attempt, token, wakes, how often it was leased (0: an earlier version has not counted).

local length, limit, nonce = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local types = {}
for i = 6, #ARGV do
  types[#types + 1] = ARGV[i]
end

local taken = {}
local function give(actor, number, token)
  local message = redis.call('HMGET', q .. ':msg:' .. number, 'body', 'attempts', 'leases')
  local wakes = redis.call('HGET', q .. ':box:' .. actor, 'wakes')
  taken[#taken + 1] =
    { message[1], tonumber(message[2]), token, tonumber(wakes or 0), tonumber(message[3] or 0) }
end

-- Leases that were given, and never heard of, are given again.
if repeated then
  local live = redis.call('ZRANGEBYSCORE', q .. ':leased', '(' .. digits(now), '+inf')
  for _, actor in ipairs(live) do
    local token = redis.call('HGET', q .. ':box:' .. actor, 'token')
    if string.sub(token, -#nonce) == nonce then
      give(actor, number_of(token), token)
    end
  end
  if #taken > 0 then
    return { 0, taken }
  end
end

admit_due()
local ready = {}
for _, kind in ipairs(types) do
  local found = redis.call(
    'ZRANGEBYSCORE', q .. ':open:' .. kind, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit
  )
  for i = 1, #found, 2 do
    ready[#ready + 1] = { actor = found[i], at = tonumber(found[i + 1]) }
  end
end
table.sort(ready, function(one, other)
  return one.at < other.at or (one.at == other.at and one.actor < other.actor)
end)

for i = 1, math.min(limit, #ready) do
  local actor = ready[i].actor
  local box = q .. ':box:' .. actor
  -- A turn that is under way comes before any other message, whatever its priority.
  local number = redis.call('HGET', box, 'parked')
    or redis.call('ZRANGE', q .. ':fifo:' .. actor, 0, 0)[1]
  local token = number .. ':' .. nonce
  redis.call('HINCRBY', q .. ':msg:' .. number, 'attempts', 1)
  if redis.call('HEXISTS', q .. ':msg:' .. number, 'leases') == 1 then
    redis.call('HINCRBY', q .. ':msg:' .. number, 'leases', 1)
  end
  redis.call('HSET', box, 'token', token, 'at', now + length)
  redis.call('HDEL', box, 'held')
  redis.call('ZREM', q .. ':held', actor)
  redis.call('ZADD', q .. ':leased', now + length, actor)
  offer(actor, now + length)
  place(actor)
  give(actor, number, token)
end

local soonest = redis.call('ZRANGE', q .. ':later', 0, 0, 'WITHSCORES')[2]
soonest = soonest and tonumber(soonest)
for _, kind in ipairs(types) do
  local first = redis.call('ZRANGE', q .. ':open:' .. kind, 0, 0, 'WITHSCORES')[2]
  if first and (not soonest or tonumber(first) < soonest) then
    soonest = tonumber(first)
  end
end
return { soonest and math.max(0, soonest - now) or -1, taken }
