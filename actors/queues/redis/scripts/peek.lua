-- ARGV: actor, how many. Answers bodies in the order of their turns.

local actor, limit = ARGV[3], tonumber(ARGV[4])
admit_due()
local head = head_of(actor)
local numbers = { head }
for _, number in ipairs(redis.call('ZRANGE', q .. ':fifo:' .. actor, 0, limit)) do
  if number ~= head then
    numbers[#numbers + 1] = number
  end
end
local bodies = {}
for i = 1, math.min(limit, #numbers) do
  bodies[i] = redis.call('HGET', q .. ':msg:' .. numbers[i], 'body')
end
return bodies
