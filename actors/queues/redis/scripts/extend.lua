-- ARGV: how long, then per lease: actor, token. Answers 1 or 0 for each.

local at = now + tonumber(ARGV[3])
local kept = {}
for i = 4, #ARGV, 2 do
  local actor, token = ARGV[i], ARGV[i + 1]
  local held = holds(actor, token)
  if held then
    redis.call('HSET', q .. ':box:' .. actor, 'at', at)
    redis.call('ZADD', q .. ':leased', at, actor)
    offer(actor, at)
  end
  kept[#kept + 1] = held and 1 or 0
end
return kept
