-- Lease deliveries that are due, from as many lanes as have any; a lane never has more in hand than it has room for.
-- A lease that ends gives its delivery back to the lane, so a dead worker's deliveries are taken over.
-- KEYS[1] due:deliver
-- ARGV[1] most deliveries to lease
-- ARGV[2] length of the lease in ms
-- ARGV[3] now in ms, or "" for the server's clock
-- ARGV[4] places of a lane
-- ARGV[5] prefix of lanes, ARGV[6] prefix of delivery records
-- ARGV[7] lifetime of what a lane holds, in ms
-- Returns {token, ms until a lane is next worth looking at or "" when all are empty, id, ...}.
local now = now_ms(ARGV[3])
local token = now + ARGV[2]
local most = tonumber(ARGV[1])
local answer = {string.format('%.0f', token), ''}
for _, lane in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, most + 64)) do
  if #answer - 2 >= most then break end
  local key = ARGV[5] .. lane
  for _, id in ipairs(redis.call('ZRANGE', key .. ':taken', '-inf', now, 'BYSCORE', 'LIMIT', 0, 128)) do
    redis.call('ZREM', key .. ':taken', id)
    let_wait(KEYS[1], ARGV[5], lane, id, now, ARGV[7])
  end
  local free = math.min(lane_room(key, ARGV[4], now) - redis.call('ZCARD', key .. ':taken'), most - (#answer - 2))
  if free > 0 then
    for _, id in ipairs(redis.call('ZRANGE', key .. ':due', '-inf', now, 'BYSCORE', 'LIMIT', 0, free)) do
      redis.call('ZREM', key .. ':due', id)
      if redis.call('EXISTS', ARGV[6] .. id) == 1 then -- else its record has ended its life
        redis.call('ZADD', key .. ':taken', token, id)
        answer[#answer + 1] = id
      end
    end
    redis.call('PEXPIRE', key .. ':taken', ARGV[7])
  end
  schedule_lane(KEYS[1], ARGV[5], lane, ARGV[4], now)
end
local nearest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if nearest[2] then answer[2] = string.format('%.0f', math.max(0, nearest[2] - now)) end
return answer
