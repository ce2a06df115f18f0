-- Lease what is due. A lease moves the item's due time to the lease's end, so a dead worker's items become due again
-- by themselves; that very time is the token, and completing an item needs it.
-- KEYS[1] due set
-- ARGV[1] most items to lease
-- ARGV[2] length of the lease in ms
-- ARGV[3] now in ms, or "" for the server's clock
-- Returns {token, ms until the next item is due or "" when there is none, id, ...}.
local now = now_ms(ARGV[3])
local token = now + ARGV[2]
local answer = {string.format('%.0f', token), ''}
local ids = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for i, id in ipairs(ids) do
  redis.call('ZADD', KEYS[1], token, id)
  answer[i + 2] = id
end
local nearest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if nearest[2] then answer[2] = string.format('%.0f', math.max(0, nearest[2] - now)) end
return answer
