-- Count an attempt before it is made, so that a crash can never retry for ever.
-- KEYS[1] due:deliver, KEYS[2] delivery hash
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- Returns the number of this attempt (1 is the first), or 0 when the lease was lost or the delivery is not pending.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then return 0 end
if redis.call('HGET', KEYS[2], 'state') ~= 'pending' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
return redis.call('HINCRBY', KEYS[2], 'attempts', 1)
