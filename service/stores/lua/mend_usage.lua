-- Make one day of a tenant's usage what its predictions say, unless something was booked to it meanwhile.
-- KEYS[1] ledger and KEYS[2] usage of the month
-- ARGV[1] day
-- ARGV[2] `moves` of that day when the predictions were read
-- ARGV[3...] usage fields that are wrong, each with what it must be
-- Returns 1, or 0 when the day has moved on; 0 writes nothing.
if (redis.call('HGET', KEYS[1], 'moves:' .. ARGV[1]) or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
return 1
