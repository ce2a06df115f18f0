-- Give a prediction that has not ended its slot, or take the slot of one that has ended, or is gone.
-- KEYS[1] the tenant's slots, KEYS[2] prediction hash
-- ARGV[1] prediction id
-- ARGV[2] hard deadline in ms, for a slot that is missing
-- ARGV[3] lifetime of the slots in ms
-- Returns 1 when something was mended, else 0.
local state = redis.call('HGET', KEYS[2], 'state')
if not state or state == 'completed' or state == 'failed' or state == 'canceled' or state == 'expired' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
local given = redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return given
