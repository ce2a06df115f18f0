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
local turn = redis.call('ZSCORE', where.waiting .. ARGV[3], ARGV[2]) + moved_on(where, ARGV[3])
  + rank * stride_of(ARGV[5] .. ARGV[2])
local before = rank
local own_class_came = false
for _, class in ipairs(CLASSES) do
  local own_class = class == ARGV[3]
  own_class_came = own_class_came or own_class
  local ahead = moved_on(where, class)
  local earlier = redis.call('ZRANGE', where.waiting .. class, '-inf', turn - ahead, 'BYSCORE', 'LIMIT', 0, ARGV[6], 'WITHSCORES')
  for i = 1, #earlier, 2 do
    local tenant, first = earlier[i], earlier[i + 1] + ahead
    if not (own_class and tenant == ARGV[2]) then
      local stride = stride_of(ARGV[5] .. tenant)
      local turns = math.floor((turn - first) / stride) + 1
      local wins_ties = not own_class_came or own_class and tenant < ARGV[2] -- as lease_queued has it
      if not wins_ties and (turn - first) % stride == 0 then turns = turns - 1 end
      before = before + math.min(turns, redis.call('ZCARD', waits_in(where, class, tenant)))
    end
  end
end
return before
