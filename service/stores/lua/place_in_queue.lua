-- How many submissions are before a waiting one, if nobody else comes: those of its tenant that came earlier, and those
-- of others whose turn is before its own.
-- KEYS[1] due:submit
-- ARGV[1] prediction id, ARGV[2] its tenant, ARGV[3] its class, ARGV[4] prefix of the queue, ARGV[5] of tenants
-- ARGV[6] most tenants to count
-- Returns the number, or -1 when it does not wait.
local where = {waiting = ARGV[4], due = KEYS[1]}
local own = waits_in(where, ARGV[3], ARGV[2])
local rank = redis.call('ZRANK', own, ARGV[1])
if not rank then return -1 end
local tag = tonumber(redis.call('ZSCORE', where.waiting .. ARGV[3], ARGV[2]))
local turn = tag + rank * stride_of(ARGV[5] .. ARGV[2])
local before = rank
for _, class in ipairs(CLASSES) do
  local earlier = redis.call('ZRANGE', where.waiting .. class, '-inf', turn, 'BYSCORE', 'LIMIT', 0, ARGV[6], 'WITHSCORES')
  for i = 1, #earlier, 2 do
    local tenant, first = earlier[i], tonumber(earlier[i + 1])
    if tenant ~= ARGV[2] then
      local turns = math.floor((turn - first) / stride_of(ARGV[5] .. tenant)) + 1
      if tenant > ARGV[2] and (turn - first) % stride_of(ARGV[5] .. tenant) == 0 then turns = turns - 1 end
      before = before + math.min(turns, redis.call('ZCARD', waits_in(where, class, tenant)))
    end
  end
end
return before
