-- Change or delete an endpoint, if it still is as it was read. What waits for it is looked at again at once; an event
-- about it may go to the tenant's other endpoints, in the same step.
-- KEYS[1] the tenant's endpoints (hash), KEYS[2] due:deliver, KEYS[3] the tenant's deliveries, KEYS[4] the tenant's events
-- ARGV[1] endpoint id
-- ARGV[2] its JSON as it was read
-- ARGV[3] its JSON from now on, or "" to delete it
-- ARGV[4] whether its lane starts afresh: 1 or 0
-- ARGV[5] prefix of lanes, ARGV[6] prefix of delivery records
-- ARGV[7] lifetime of deliveries in ms
-- ARGV[8] now in ms, or "" for the server's clock
-- ARGV[9] type of the event, or "" for none; ARGV[10] its id, ARGV[11] its body (JSON), ARGV[12] tenant id
-- ARGV[13] most events to keep, ARGV[14] their lifetime in ms
-- Returns {"changed", deliveries made}, {"gone"} or {"stale"} (somebody else has changed it); the latter write nothing.
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return {'gone'} end
if stored ~= ARGV[2] then return {'stale'} end
local now = now_ms(ARGV[8])
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if ARGV[4] == '1' then
  local waiting = ARGV[5] .. ARGV[1] .. ':due'
  redis.call('DEL', ARGV[5] .. ARGV[1])
  if redis.call('EXISTS', waiting) == 1 then redis.call('ZADD', KEYS[2], 'LT', now, ARGV[1]) end
  if ARGV[3] == '' or cjson.decode(ARGV[3]).state ~= 'enabled' then
    redis.call('ZUNIONSTORE', waiting, 1, waiting, 'WEIGHTS', 0)
    redis.call('PEXPIRE', waiting, ARGV[7])
  end
end
if ARGV[9] == '' then return {'changed', 0} end
log_event(KEYS[4], ARGV[13], ARGV[14], 'type', ARGV[9], 'id', ARGV[10], 'body', ARGV[11])
local where = {due_lanes = KEYS[2], lanes = ARGV[5], deliveries = ARGV[6], list = KEYS[3], lifetime = ARGV[7], now = now}
local receivers = receivers_of(KEYS[1], ARGV[9], ARGV[1])
for _, endpoint in ipairs(receivers) do
  owe(where, ARGV[10] .. '-' .. endpoint, endpoint, 'tenant', ARGV[12], 'event', ARGV[9], 'endpoint', endpoint,
    'message_id', ARGV[10], 'body', ARGV[11])
end
return {'changed', #receivers}
