-- Learn from what the upstream answered to a submission.
-- KEYS[1] the account, KEYS[2] open predictions
-- ARGV[1] "concurrency" or "rate" (a 429), "unreachable" (no connection), "over" (it says nothing) or "well"
-- ARGV[2] class of the model, ARGV[3] now in ms, or "" for the server's clock
-- ARGV[4] the account's concurrency, ARGV[5] its submissions of the class a minute, each "" for no limit
-- ARGV[6] ms the upstream wants us to wait, or "", ARGV[7] shortest and ARGV[8] longest back-off in ms
-- Returns 1 when a limit was lowered or a back-off began or ended, else 0.
local now = now_ms(ARGV[3])
local account = read_account(KEYS[1])
redis.call('HDEL', KEYS[1], 'probe_until')
if ARGV[1] == 'over' then return 0 end
if ARGV[1] == 'well' then
  if now < account.blocked_until then return 0 end -- it was sent before the refusal that is waited for
  return redis.call('HDEL', KEYS[1], 'failures', 'blocked_until') > 0 and 1 or 0
end
local failures = account.failures + (now >= account.blocked_until and 1 or 0) -- those of one moment are one failure
local back_off = math.min(ARGV[8], ARGV[7] * 2 ^ (failures - 1))
if ARGV[6] ~= '' then back_off = math.max(back_off, math.min(ARGV[6], ARGV[8] * 5)) end
redis.call('HSET', KEYS[1], 'failures', failures, 'blocked_until', math.max(account.blocked_until, now + back_off))
if ARGV[1] == 'unreachable' or now < account.blocked_until then return 1 end
local name, most = 'concurrency', nil
if ARGV[1] == 'concurrency' then
  most = allowed(ARGV[4], account.concurrency[1], account.concurrency[2], now) or redis.call('ZCARD', KEYS[2])
else
  name, most = ARGV[2], allowed(ARGV[5], account[ARGV[2]][1], account[ARGV[2]][2], now)
end
if most then redis.call('HSET', KEYS[1], name, math.max(1, math.floor(most * 0.7)), name .. '_at', now) end
return 1
