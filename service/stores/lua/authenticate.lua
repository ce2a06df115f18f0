-- Find the tenant a key belongs to, and note that the key was used.
-- KEYS[1] API key hash
-- ARGV[1] prefix of tenant keys
-- ARGV[2] how old the note of the last use may get, in ms
-- ARGV[3] now in ms, or "" for the server's clock
-- Returns {ms until the key expires or -1, field, value, ... of the tenant hash}, or {} when the key or its tenant is
-- unknown, or the key has expired.
local key = redis.call('HMGET', KEYS[1], 'tenant', 'expires_at_ms', 'last_used_at_ms')
if not key[1] then return {} end
local now = now_ms(ARGV[3])
if key[2] and now >= tonumber(key[2]) then return {} end
local answer = redis.call('HGETALL', ARGV[1] .. key[1])
if #answer == 0 then return {} end
table.insert(answer, 1, key[2] and key[2] - now or -1)
if now - (key[3] or 0) >= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'last_used_at_ms', now) end
return answer
