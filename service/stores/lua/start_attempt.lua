-- Count an attempt before it is made, so that a crash can never retry for ever.
-- KEYS[1] due:deliver, KEYS[2] delivery hash
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- ARGV[3] prefix of lanes
-- ARGV[4] now in ms, or "" for the server's clock
-- Returns the number of this attempt (1 is the first), or 0 when the lease was lost or the delivery is not pending.
local record = redis.call('HMGET', KEYS[2], 'lane', 'state')
if not record[1] then return 0 end
local taken = ARGV[3] .. record[1] .. ':taken'
local lease = redis.call('ZSCORE', taken, ARGV[1])
if not lease or tonumber(lease) ~= tonumber(ARGV[2]) then return 0 end
if record[2] ~= 'pending' then
  redis.call('ZREM', taken, ARGV[1])
  redis.call('ZADD', KEYS[1], 'LT', now_ms(ARGV[4]), record[1])
  return 0
end
return redis.call('HINCRBY', KEYS[2], 'attempts', 1)
