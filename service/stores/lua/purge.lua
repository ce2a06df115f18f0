-- Forget an ended prediction whose retention is over, and all that belongs to it; what its tenant used stays booked.
-- KEYS[1] prediction hash, KEYS[2] its events, KEYS[3] its deliveries, KEYS[4] the tenant's predictions
-- KEYS[5] due:retain, KEYS[6] due:deliver, KEYS[7] dead letters, KEYS[8] the orphaned
-- KEYS[9] the upstream task index, if it had a task
-- ARGV[1] prediction id
-- ARGV[2] lease token
-- ARGV[3] prefix of delivery keys
-- Returns 1, or 0 when the lease was lost; 0 writes nothing.
local due = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then return 0 end
for _, id in ipairs(redis.call('SMEMBERS', KEYS[3])) do
  redis.call('DEL', ARGV[3] .. id, ARGV[3] .. id .. ':attempts')
  redis.call('ZREM', KEYS[6], id)
  redis.call('ZREM', KEYS[7], id)
end
if KEYS[9] and redis.call('GET', KEYS[9]) == ARGV[1] then redis.call('DEL', KEYS[9]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[8], ARGV[1])
return 1
