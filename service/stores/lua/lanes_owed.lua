-- Count what is owed to receivers.
-- KEYS[1] due:deliver
-- ARGV[1] prefix of lanes
-- ARGV[2] most lanes to count
-- Returns {deliveries pending, lanes with an open breaker}.
local pending, open = 0, 0
for _, lane in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[2] - 1)) do
  pending = pending + redis.call('ZCARD', ARGV[1] .. lane .. ':due') + redis.call('ZCARD', ARGV[1] .. lane .. ':taken')
  open = open + redis.call('HEXISTS', ARGV[1] .. lane, 'open_until')
end
return {pending, open}
