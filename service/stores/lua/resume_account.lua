-- End a pause of the account, and what holds submissions back after a refusal.
-- KEYS[1] the account, KEYS[2] models that are refused though the account is good
-- ARGV[1] whose pause alone is to end, ARGV[2] when it began; each "" for any
-- ARGV[3] 1 when the account has proved good: then what was refused is to blame if it is refused again; 0 when nobody
--         knows; "" when an operator says that all is well
-- ARGV[4] most such models, ARGV[5] how long they are remembered in ms
-- Returns 1 when there was anything to end, else 0.
local paused = redis.call('HMGET', KEYS[1], 'paused_by', 'paused_at', 'paused_model')
if ARGV[1] ~= '' and (paused[1] ~= ARGV[1] or paused[2] ~= ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
elseif ARGV[3] == '1' and paused[3] and redis.call('SCARD', KEYS[2]) < tonumber(ARGV[4]) then
  redis.call('SADD', KEYS[2], paused[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
end
local ended = redis.call('HDEL', KEYS[1], 'paused_by', 'paused_at', 'paused_why', 'paused_model', 'paused_price',
  'blocked_until', 'failures', 'probe_until')
return ended > 0 and 1 or 0
