-- Record how an attempt went and what follows: delivered, the next attempt, or the dead-letter list.
-- KEYS[1] due:deliver, KEYS[2] delivery hash, KEYS[3] its attempts, KEYS[4] the dead-letter list
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- ARGV[3] state now: "delivered", "pending" or "dead"
-- ARGV[4] ms until the next attempt (only for "pending")
-- ARGV[5] the attempt (JSON)
-- ARGV[6] how many attempts to keep
-- ARGV[7] lifetime of the delivery from now, in ms
-- ARGV[8] how many dead letters to keep
-- ARGV[9] now in ms, or "" for the server's clock
-- Returns 1, or 0 when the lease was lost: then another worker has the delivery and only the attempt is noted.
local now = now_ms(ARGV[9])
if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return 0
end
redis.call('LPUSH', KEYS[3], ARGV[5])
redis.call('LTRIM', KEYS[3], 0, ARGV[6] - 1)
redis.call('PEXPIRE', KEYS[3], ARGV[7])
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
local ours = due and tonumber(due) == tonumber(ARGV[2])
-- A success counts even from a lost lease: the receiver has it.
if not ours and ARGV[3] ~= 'delivered' then return 0 end
redis.call('HSET', KEYS[2], 'state', ARGV[3], 'last_attempt_at_ms', now)
redis.call('PEXPIRE', KEYS[2], ARGV[7])
if ARGV[3] == 'pending' then
  redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
if ARGV[3] == 'delivered' then redis.call('ZREM', KEYS[4], ARGV[1]) end
if ARGV[3] == 'dead' then
  redis.call('ZADD', KEYS[4], now, ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -ARGV[8] - 1)
end
return ours and 1 or 0
