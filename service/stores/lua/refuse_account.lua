-- Pause the account because the upstream refused it, unless such a submission was refused before while it was good.
-- KEYS[1] the account, KEYS[2] models that are refused though the account is good
-- ARGV[1] model, ARGV[2] price in micro-dollars, ARGV[3] now in ms, or "" for the server's clock, ARGV[4] what is told
-- Returns 1 when it is paused, 0 when it goes on.
redis.call('HDEL', KEYS[1], 'probe_until')
if redis.call('HEXISTS', KEYS[1], 'paused_by') == 1 then return 1 end
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'paused_by', 'account', 'paused_at', now_ms(ARGV[3]), 'paused_why', ARGV[4], 'paused_model',
  ARGV[1], 'paused_price', ARGV[2])
return 1
