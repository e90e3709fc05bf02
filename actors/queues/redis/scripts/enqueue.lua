-- ARGV: delay, the call's name, then per message: id, actor, priority, not before, body.
-- Answers 1 or 0 per message: added, or known before this call.

local delay, call = tonumber(ARGV[3]), ARGV[4]
local added, news = {}, false
for i = 5, #ARGV, 5 do
  local id, actor, priority, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  local visible = math.max(now + delay, tonumber(ARGV[i + 3]))
  local this_call = call .. ':' .. i
  local known = redis.call('GET', q .. ':id:' .. id)
  local known_until = known and string.match(known, '^a(%d+):')
  if known_until and tonumber(known_until) <= now then
    known = false
  end
  if known then
    local number = repeated and string.match(known, '^q(%d+)$')
    local again = number and redis.call('HGET', q .. ':msg:' .. number, 'call') == this_call
    added[#added + 1] = again and 1 or 0
  else
    local number = string.format('%016d', redis.call('INCR', q .. ':seq'))
    redis.call('SET', q .. ':id:' .. id, 'q' .. number)
    redis.call(
      'HSET', q .. ':msg:' .. number, 'id', id, 'actor', actor, 'priority', priority,
      'enqueued', now, 'attempts', 0, 'leases', 0, 'call', this_call, 'body', body
    )
    redis.call('INCR', q .. ':count')
    redis.call('HINCRBY', q .. ':messages', type_of(actor), 1)
    local first = redis.call('HINCRBY', q .. ':box:' .. actor, 'n', 1) == 1
    if visible > now then
      redis.call('ZADD', q .. ':later', visible, number)
      if first then
        place(actor)
      end
      news = true
    elseif admit(actor, number, priority, now) then
      news = true
    end
    added[#added + 1] = 1
  end
end
if news then
  ring()
end
return added
