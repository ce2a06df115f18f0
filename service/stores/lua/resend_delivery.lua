-- Have a delivery attempted again, with a whole schedule of attempts; its id and that of its message stay.
-- KEYS[1] due:deliver, KEYS[2] delivery hash, KEYS[3] the dead-letter list, KEYS[4] the tenant's dead letters
-- ARGV[1] delivery id
-- ARGV[2] prefix of lanes
-- ARGV[3] lifetime of the delivery from now, in ms
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5] "dead" to resend it only if it is dead, else ""
-- Returns "queued", "gone" (no such delivery), "busy" (an attempt is being made just now) or "not dead".
local record = redis.call('HMGET', KEYS[2], 'lane', 'attempts', 'state')
if not record[1] then return 'gone' end
if ARGV[5] ~= '' and record[3] ~= ARGV[5] then return 'not dead' end
local now = now_ms(ARGV[4])
local lease = redis.call('ZSCORE', ARGV[2] .. record[1] .. ':taken', ARGV[1])
if lease and tonumber(lease) > now then return 'busy' end
redis.call('HSET', KEYS[2], 'state', 'pending', 'schedule_from', record[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
for _, list in ipairs({KEYS[3], KEYS[4], ARGV[2] .. record[1] .. ':dead'}) do
  redis.call('ZREM', list, ARGV[1])
end
let_wait(KEYS[1], ARGV[2], record[1], ARGV[1], now, ARGV[3])
return 'queued'
