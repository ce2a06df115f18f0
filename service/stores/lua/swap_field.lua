-- Replace one field of a hash, if it still is as it was read.
-- KEYS[1] the hash
-- ARGV[1] field
-- ARGV[2] its value as it was read
-- ARGV[3] its value from now on
-- Returns 1, or 0 when it is not as it was read; 0 writes nothing.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
