-- Add one member to a bounded collection of a tenant, with a record of its own where it has one.
-- KEYS[1] tenant hash, KEYS[2] the collection (hash), KEYS[3] the member's own record (only written with ARGV[4...])
-- ARGV[1] member id
-- ARGV[2] value in the collection
-- ARGV[3] most members
-- ARGV[4...] the member's own record: field, value, ...
-- Returns "added" (also for a member that is there already, which stays as it is; a record that the tenant has under
-- another id takes the new one), or "no tenant", "full", "taken" (the record is another tenant's); a refusal writes
-- nothing.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'no tenant' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'added' end
local earlier = ARGV[4] and redis.call('HGET', KEYS[3], 'id')
if earlier then
  if redis.call('HGET', KEYS[2], earlier) ~= ARGV[2] then return 'taken' end
  redis.call('HDEL', KEYS[2], earlier)
elseif redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return 'full'
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if ARGV[4] then redis.call('HSET', KEYS[3], unpack(ARGV, 4)) end
return 'added'
