-- Revoke an API key: forget it under both names.
-- KEYS[1] the tenant's API keys
-- ARGV[1] API key id
-- ARGV[2] prefix of API key hashes
-- Returns 1, or 0 when the tenant has no such key.
local digest = redis.call('HGET', KEYS[1], ARGV[1])
if not digest then return 0 end
redis.call('DEL', ARGV[2] .. digest)
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
