-- Give a leased item its next due time, or take it off the due set, if the lease is still ours.
-- KEYS[1] due set, KEYS[2] the item's record
-- ARGV[1] item id
-- ARGV[2] lease token
-- ARGV[3] ms until it is due again, or "" when nothing more is owed
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5...] fields to set in the record if it still exists: field, value, ...
-- Returns 1, or 0 when the lease was lost; 0 writes nothing.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due or tonumber(due) ~= tonumber(ARGV[2]) then return 0 end
local now = now_ms(ARGV[4])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
end
if ARGV[5] and redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], unpack(ARGV, 5)) end
return 1
