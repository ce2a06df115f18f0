-- Change fields of a tenant that exists.
-- KEYS[1] tenant hash
-- ARGV[1] how many field names follow that are taken away first
-- ARGV[2...] these names, then field, value, ... to set
-- Returns 1, or 0 when there is no such tenant; 0 writes nothing.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local dropped = tonumber(ARGV[1])
if dropped > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 2, dropped + 1)) end
redis.call('HSET', KEYS[1], unpack(ARGV, dropped + 2))
return 1
