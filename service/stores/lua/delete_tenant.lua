-- Delete a tenant with its API keys and endpoints, once all of its predictions have ended.
-- KEYS[1] tenant hash, KEYS[2] set of tenant ids, KEYS[3] the tenant's API keys, KEYS[4] its endpoints, KEYS[5] its slots
-- ARGV[1] tenant id
-- ARGV[2] prefix of API key hashes
-- Returns "deleted", "no tenant", or how many predictions have not ended; the latter two write nothing.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'no tenant' end
local running = redis.call('ZCARD', KEYS[5])
if running > 0 then return tostring(running) end
for _, digest in ipairs(redis.call('HVALS', KEYS[3])) do redis.call('DEL', ARGV[2] .. digest) end
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
redis.call('SREM', KEYS[2], ARGV[1])
return 'deleted'
