-- Count an attempt before it is made, so that a crash can never retry for ever, and read all that making it needs.
-- KEYS[1] due:deliver, KEYS[2] delivery hash
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- ARGV[3] prefix of lanes
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5] prefix of tenants, ARGV[6] prefix of predictions
-- Returns {number of this attempt (1 is the first), record, endpoint (JSON, for one), body, callback_allow or nil,
-- callback_secret}; {reason, record} where nothing can be sent any more, and nothing is counted; or {} when the lease was
-- lost or the delivery is not pending.
local record = redis.call('HGETALL', KEYS[2])
local delivery = {}
for i = 1, #record, 2 do delivery[record[i]] = record[i + 1] end
if not delivery.lane then return {} end
local taken = ARGV[3] .. delivery.lane .. ':taken'
local lease = redis.call('ZSCORE', taken, ARGV[1])
if not lease or tonumber(lease) ~= tonumber(ARGV[2]) then return {} end
if delivery.state ~= 'pending' then
  redis.call('ZREM', taken, ARGV[1])
  redis.call('ZADD', KEYS[1], 'LT', now_ms(ARGV[4]), delivery.lane)
  return {}
end
local key = ARGV[5] .. delivery.tenant
local tenant = redis.call('HMGET', key, 'callback_allow', 'callback_secret')
if not tenant[2] then return {'the tenant was deleted', record} end
local endpoint = ''
if (delivery.endpoint or '') ~= '' then
  endpoint = redis.call('HGET', key .. ':endpoints', delivery.endpoint)
  if not endpoint then return {'the endpoint was deleted', record} end
  if delivery.event ~= 'endpoint.test' and cjson.decode(endpoint).state ~= 'enabled' then
    return {'the endpoint is disabled', record}
  end
end
local body = delivery.body or redis.call('HGET', ARGV[6] .. delivery.prediction .. ':events', delivery.sequence)
if not body then return {'the event is no longer kept', record} end
return {redis.call('HINCRBY', KEYS[2], 'attempts', 1), record, endpoint, body, tenant[1], tenant[2]}
