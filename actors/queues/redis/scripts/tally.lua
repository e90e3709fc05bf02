-- ARGV: states. Answers per actor type: its name, its messages, then its mailboxes of each state.

local found = {}
for _, kind in ipairs(redis.call('SMEMBERS', q .. ':types')) do
  local counts = { kind, tonumber(redis.call('HGET', q .. ':messages', kind) or 0) }
  for i = 3, #ARGV do
    counts[i] = redis.call('ZCARD', q .. ':boxes:' .. kind .. ':' .. ARGV[i])
  end
  found[#found + 1] = counts
end
return found
