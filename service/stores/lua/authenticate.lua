-- Find the tenant a key belongs to.
-- KEYS[1] API key hash
-- ARGV[1] prefix of tenant keys
-- Returns {field, value, ...} of the tenant hash, or {} when the key or its tenant is unknown.
local id = redis.call('HGET', KEYS[1], 'tenant')
if not id then return {} end
local tenant = redis.call('HGETALL', ARGV[1] .. id)
if #tenant == 0 then return {} end
return tenant
