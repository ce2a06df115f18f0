-- Forget an ended prediction whose retention is over, and all that belongs to it; what its tenant used stays booked.
-- KEYS[1] prediction hash, KEYS[2] its events, KEYS[3] its deliveries, KEYS[4] the tenant's predictions
-- KEYS[5] due:retain, KEYS[6] dead letters, KEYS[7] the orphaned
-- KEYS[8] the tenant's deliveries, KEYS[9] the tenant's dead letters
-- KEYS[10] due:deliver, KEYS[11] the tenant's deleted predictions
-- KEYS[12] the upstream task index, if it had a task
-- ARGV[1] prediction id
-- ARGV[2] lease token
-- ARGV[3] prefix of delivery keys
-- ARGV[4] prefix of lanes
-- Returns 1, or 0 when the lease was lost; 0 writes nothing.
local due = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then return 0 end
drop_deliveries(KEYS[3], KEYS[10], ARGV[3], ARGV[4], {KEYS[6], KEYS[8], KEYS[9]})
if KEYS[12] and redis.call('GET', KEYS[12]) == ARGV[1] then redis.call('DEL', KEYS[12]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[11], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[7], ARGV[1])
return 1
