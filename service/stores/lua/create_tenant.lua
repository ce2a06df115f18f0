-- Create a tenant whose id must be new.
-- KEYS[1] tenant hash, KEYS[2] set of tenant ids
-- ARGV[1] tenant id
-- ARGV[2...] the tenant: field, value, ...
-- Returns 1, or 0 when the id is taken; 0 writes nothing.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('SADD', KEYS[2], ARGV[1])
return 1
