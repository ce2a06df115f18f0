-- Lease what is due. A lease moves the item's due time to the lease's end, so a dead worker's items become due again
-- by themselves; that very time is the token, and completing an item needs it.
-- KEYS[1] due set, KEYS[2] the rate at which items may be leased, if there is one
-- ARGV[1] most items to lease
-- ARGV[2] length of the lease in ms
-- ARGV[3] now in ms, or "" for the server's clock
-- ARGV[4] prefix of the items' records, if something of them is wanted, ARGV[5] which fields (JSON)
-- ARGV[6] microseconds from one leased item to the next by KEYS[2], ARGV[7] how many may be leased at once after a rest
-- Returns {token, ms until the next item is due or "" when there is none, id, ...}; with ARGV[4] {id, field, ...} for id.
local now = now_ms(ARGV[3])
local token = now + ARGV[2]
local answer = {string.format('%.0f', token), ''}
local most, free_at = tonumber(ARGV[1]), 0
if KEYS[2] then -- GCRA, as in admit.lua: `free_at` is when the whole burst would be free again
  free_at = math.max(now * 1000, tonumber(redis.call('GET', KEYS[2]) or '0'))
  most = math.min(most, math.max(0, math.floor((now * 1000 + ARGV[6] * ARGV[7] - free_at) / ARGV[6])))
end
local ids = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, most)
if KEYS[2] and #ids > 0 then
  free_at = free_at + ARGV[6] * #ids
  redis.call('SET', KEYS[2], string.format('%.0f', free_at), 'PX', math.ceil(free_at / 1000 - now) + 1000)
end
local wanted = ARGV[4] ~= '' and cjson.decode(ARGV[5])
for i, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], token, id)
  answer[i + 2] = wanted and {id, unpack(redis.call('HMGET', ARGV[4] .. id, unpack(wanted)))} or id
end
local nearest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if nearest[2] then answer[2] = string.format('%.0f', math.max(0, nearest[2] - now)) end
return answer
