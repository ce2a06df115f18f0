-- Give a leased delivery back to its lane for later. The attempt that was counted was not made, and counts no more.
-- KEYS[1] due:deliver, KEYS[2] delivery hash
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- ARGV[3] ms until it is due again
-- ARGV[4] prefix of lanes
-- ARGV[5] lifetime of what a lane holds, in ms
-- ARGV[6] now in ms, or "" for the server's clock
-- Returns 1, or 0 when the lease was lost; 0 writes nothing.
local lane = redis.call('HGET', KEYS[2], 'lane')
if not lane then return 0 end
local taken = ARGV[4] .. lane .. ':taken'
local lease = redis.call('ZSCORE', taken, ARGV[1])
if not lease or tonumber(lease) ~= tonumber(ARGV[2]) then return 0 end
local now = now_ms(ARGV[6])
redis.call('ZREM', taken, ARGV[1])
redis.call('HINCRBY', KEYS[2], 'attempts', -1)
let_wait(KEYS[1], ARGV[4], lane, ARGV[1], now + ARGV[3], ARGV[5])
redis.call('ZADD', KEYS[1], 'LT', now, lane)
return 1
