-- What the scripts of the queue share; each is run with this before it, as one atomic step.
--
-- KEYS[1]  the queue's name, a hash tag such as {loom}. Every key begins with it, so that all are in
--          one slot of a cluster, where a script may touch them.
-- ARGV[1]  the time in microseconds since the epoch; empty for this server's own.
-- ARGV[2]  1 when this very call may have run before, and its answer was lost.
--
-- {loom}:seq              how many messages there ever were. A message's number is its rank in time
-- {loom}:count            how many messages are in mailboxes
-- {loom}:id:<message id>  q: in a mailbox, d<token>: dead, a<until>:<token>: acknowledged
-- {loom}:msg:<number>     hash: id, actor, priority, enqueued, attempts, leases, call, body
-- {loom}:later            messages whose time has not come, by that time
-- {loom}:box:<actor>      hash: n (messages), at, token, held, failed, parked, wakes, paused, settled,
--                         state
-- {loom}:fifo:<actor>     its messages whose time has come, by priority; equals sort by number
-- {loom}:age:<actor>      the same by when they were enqueued
-- {loom}:open:<type>      mailboxes that are not paused and have such messages, by `at`
-- {loom}:leased, :held    mailboxes, by `at`
-- {loom}:oldest           mailboxes that are not paused, by when their oldest message was enqueued
-- {loom}:parked:<type>    actors with a suspended turn
-- {loom}:paused           actors that are paused
-- {loom}:boxes:<type>     mailboxes that hold a message or are paused, by actor
-- {loom}:boxes:<type>:<state>  the same, of those in a state
-- {loom}:since:<state>    mailboxes in a state, by when the message at their head was enqueued
-- {loom}:types            actor types that have mailboxes
-- {loom}:messages         hash: how many messages the mailboxes of each type hold
-- {loom}:dead             dead letters, by when they died
--
-- A mailbox's `at` says when it may next be leased, as in the embedded queue: since when (ready),
-- from when (a retry or a suspended turn) or after when (a lease).

local q = KEYS[1]
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local repeated = ARGV[2] == '1'

-- Lua would write a time with 14 digits.
local function digits(number)
  return string.format('%.0f', number)
end

local function type_of(actor)
  return string.match(actor, '^[^/]*')
end

local function number_of(token)
  return string.match(token, '^%d+')
end

local function ring()
  redis.call('PUBLISH', q .. ':ready', '')
end

local function offer(actor, at)
  if redis.call('HEXISTS', q .. ':box:' .. actor, 'paused') == 0 then
    redis.call('ZADD', q .. ':open:' .. type_of(actor), at, actor)
  end
end

local function note_oldest(actor)
  local first = redis.call('ZRANGE', q .. ':age:' .. actor, 0, 0, 'WITHSCORES')
  if first[1] and redis.call('HEXISTS', q .. ':box:' .. actor, 'paused') == 0 then
    redis.call('ZADD', q .. ':oldest', first[2], actor)
  else
    redis.call('ZREM', q .. ':oldest', actor)
  end
end

-- The message whose turn is under way, or else the one that comes next, if any.
local function head_of(actor)
  local state = redis.call('HMGET', q .. ':box:' .. actor, 'token', 'parked')
  return (state[1] and number_of(state[1]))
    or state[2]
    or redis.call('ZRANGE', q .. ':fifo:' .. actor, 0, 0)[1]
end

local function state_of(box)
  local found = redis.call('HMGET', box, 'n', 'token', 'held', 'failed', 'parked', 'paused')
  local messages, token, held, failed, parked, paused = unpack(found)
  if paused then
    return 'paused'
  elseif tonumber(messages or 0) == 0 then
    return nil
  elseif token then
    return 'running'
  elseif held and failed then
    return 'retrying'
  elseif held and parked then
    return 'suspended'
  end
  return 'waiting'
end

-- Keep a mailbox in the sets of its state; called when that may have changed. An empty one goes.
local function place(actor)
  local box, kind = q .. ':box:' .. actor, type_of(actor)
  local boxes = q .. ':boxes:' .. kind
  local state, before = state_of(box), redis.call('HGET', box, 'state')
  if before and before ~= state then
    redis.call('ZREM', boxes .. ':' .. before, actor)
    redis.call('ZREM', q .. ':since:' .. before, actor)
  end
  if not state then
    redis.call('ZREM', boxes, actor)
    redis.call('DEL', box)
    if redis.call('EXISTS', boxes) == 0 then
      redis.call('SREM', q .. ':types', kind)
    end
    return
  end
  local head = head_of(actor)
  local since = head and redis.call('HGET', q .. ':msg:' .. head, 'enqueued') or 0
  redis.call('HSET', box, 'state', state)
  redis.call('ZADD', boxes, 0, actor)
  redis.call('ZADD', boxes .. ':' .. state, 0, actor)
  redis.call('ZADD', q .. ':since:' .. state, since, actor)
  redis.call('SADD', q .. ':types', kind)
end

-- Let a message be delivered, in its turn.
local function admit(actor, number, priority, enqueued)
  redis.call('ZADD', q .. ':fifo:' .. actor, priority, number)
  redis.call('ZADD', q .. ':age:' .. actor, enqueued, number)
  note_oldest(actor)
  local box = q .. ':box:' .. actor
  if not redis.call('HGET', box, 'at') then
    redis.call('HSET', box, 'at', now)
    offer(actor, now)
    place(actor)
    return true
  end
  return false
end

-- Admit those whose time has come. The bound keeps a script short; the next one goes on.
local function admit_due()
  local due = redis.call('ZRANGEBYSCORE', q .. ':later', '-inf', now, 'LIMIT', 0, 1000)
  for _, number in ipairs(due) do
    redis.call('ZREM', q .. ':later', number)
    local message =
      redis.call('HMGET', q .. ':msg:' .. number, 'actor', 'priority', 'enqueued')
    admit(message[1], number, message[2], message[3])
  end
end

local function holds(actor, token)
  local lease = redis.call('HMGET', q .. ':box:' .. actor, 'token', 'at')
  return lease[1] == token and tonumber(lease[2]) > now
end

-- Take a leased message out of its mailbox and free that for the next one.
local function remove(actor, number)
  local box = q .. ':box:' .. actor
  redis.call('ZREM', q .. ':fifo:' .. actor, number)
  redis.call('ZREM', q .. ':age:' .. actor, number)
  redis.call('DECR', q .. ':count')
  redis.call('ZREM', q .. ':leased', actor)
  redis.call('ZREM', q .. ':parked:' .. type_of(actor), actor)
  redis.call('HDEL', box, 'token', 'parked', 'failed', 'at')
  note_oldest(actor)
  redis.call('HINCRBY', box, 'n', -1)
  if redis.call('HINCRBY', q .. ':messages', type_of(actor), -1) == 0 then
    redis.call('HDEL', q .. ':messages', type_of(actor))
  end
  if redis.call('EXISTS', q .. ':fifo:' .. actor) == 1 then
    redis.call('HSET', box, 'at', now)
    offer(actor, now)
  else
    redis.call('ZREM', q .. ':open:' .. type_of(actor), actor)
  end
  place(actor)
end
