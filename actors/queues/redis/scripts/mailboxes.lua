-- ARGV: a sorted set of mailboxes, how many, and from and to which actor (both empty: by score).
-- Answers per mailbox: actor, state, messages, at, then of its head: body, attempts, enqueued.

local set, limit, from, to = q .. ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
admit_due()
local actors
if from == '' then
  actors = redis.call('ZRANGE', set, 0, limit - 1)
else
  actors = redis.call('ZRANGEBYLEX', set, from, to, 'LIMIT', 0, limit)
end
local found = {}
for _, actor in ipairs(actors) do
  local box = redis.call('HMGET', q .. ':box:' .. actor, 'state', 'n', 'at')
  local head = head_of(actor)
  local message = head
      and redis.call('HMGET', q .. ':msg:' .. head, 'body', 'attempts', 'enqueued')
    or { false, false, false }
  found[#found + 1] = {
    actor, box[1], tonumber(box[2] or 0), box[3], message[1], message[2], message[3]
  }
end
return found
