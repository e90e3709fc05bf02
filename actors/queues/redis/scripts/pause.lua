-- ARGV: actor.

local actor = ARGV[3]
redis.call('HSET', q .. ':box:' .. actor, 'paused', 1)
redis.call('SADD', q .. ':paused', actor)
redis.call('ZREM', q .. ':open:' .. type_of(actor), actor)
redis.call('ZREM', q .. ':oldest', actor)
place(actor)
