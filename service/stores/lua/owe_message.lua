-- Owe one message to one endpoint, apart from any prediction.
-- KEYS[1] due:deliver, KEYS[2] delivery hash, KEYS[3] the tenant's deliveries
-- ARGV[1] delivery id
-- ARGV[2] lane
-- ARGV[3] prefix of lanes, ARGV[4] prefix of delivery records
-- ARGV[5] lifetime in ms
-- ARGV[6] now in ms, or "" for the server's clock
-- ARGV[7...] the record: field, value, ...
-- Returns 1, or 0 when it is owed already.
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local where = {due_lanes = KEYS[1], lanes = ARGV[3], deliveries = ARGV[4], list = KEYS[3], lifetime = ARGV[5], now = now_ms(ARGV[6])}
owe(where, ARGV[1], ARGV[2], unpack(ARGV, 7))
return 1
