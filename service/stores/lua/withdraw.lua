-- Take back an admission that provably started nothing, before its caller was given the id.
-- KEYS[1] prediction hash, KEYS[2] the tenant's predictions, KEYS[3] due:poll
-- ARGV[1] prediction id
-- Returns 1, or 0 when the prediction is no longer submitting; 0 writes nothing.
if redis.call('HGET', KEYS[1], 'state') ~= 'submitting' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
