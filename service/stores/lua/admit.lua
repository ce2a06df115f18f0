-- Make one submission durable before anything is sent upstream: all or nothing.
-- Reads and checks everything first and writes last. Running it again for an id that exists changes nothing.
-- KEYS[1] prediction hash, KEYS[2] tenant hash, KEYS[3] the tenant's predictions, KEYS[4] due:poll
-- ARGV[1] prediction id
-- ARGV[2] ms until somebody must look whether the submission was confirmed
-- ARGV[3] lifetime of the record, and so of its place in the list, in ms
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5...] the record: field, value, ...
-- Returns "admitted", or "no tenant", "suspended"; a refusal writes nothing.
if redis.call('EXISTS', KEYS[1]) == 1 then return 'admitted' end
local state = redis.call('HGET', KEYS[2], 'state')
if not state then return 'no tenant' end
if state ~= 'active' then return 'suspended' end
-- Quota limits and the money hold are checked here, before the first write, and charged below it.
local now = now_ms(ARGV[4])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[4], now + ARGV[2], ARGV[1])
return 'admitted'
