-- Answers ready, delayed, leased, dead, paused, and when the oldest ready message was enqueued.

admit_due()
local after = '(' .. digits(now)
local delayed = redis.call('ZCARD', q .. ':later') + redis.call('ZCOUNT', q .. ':held', after, '+inf')
local leased = redis.call('ZCOUNT', q .. ':leased', after, '+inf')
local paused = 0
for _, actor in ipairs(redis.call('SMEMBERS', q .. ':paused')) do
  local state = redis.call('HMGET', q .. ':box:' .. actor, 'n', 'at', 'token', 'held')
  local messages = tonumber(state[1] or 0)
  local later = state[2] and tonumber(state[2]) > now
  delayed = delayed - (messages - redis.call('ZCARD', q .. ':fifo:' .. actor))
  if later and state[4] then
    delayed = delayed - 1
  end
  paused = paused + messages - (later and state[3] and 1 or 0)
end
local count = tonumber(redis.call('GET', q .. ':count') or 0)
local ready = math.max(0, count - delayed - leased - paused)
local first = redis.call('ZRANGE', q .. ':oldest', 0, 0, 'WITHSCORES')[2]
return { ready, delayed, leased, redis.call('ZCARD', q .. ':dead'), paused, ready > 0 and first or false }
