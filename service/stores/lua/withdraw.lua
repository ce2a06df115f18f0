-- Take back an admission that provably started nothing, before its caller was given the id: counts, slot and the
-- idempotency key are given back, the money is released.
-- KEYS[1] prediction hash, KEYS[2] the tenant's predictions, KEYS[3] due:poll, KEYS[4] the tenant's slots
-- KEYS[5] open predictions, KEYS[6] the unconfirmed of its model and inputs, KEYS[7] due:submit, KEYS[8] starts of its
-- class, KEYS[9] the idempotency record, if any
-- ARGV[1] prediction id
-- ARGV[2] prefix of the tenant's ledgers, ARGV[3] prefix of its usage; the month of admission completes them
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5] 1 when nothing was sent, so that it does not count as a start
-- ARGV[6] tenant, ARGV[7] class of the model, ARGV[8] prefix of the queue
-- Returns 1, or 0 when the prediction is neither submitting nor queued, a worker is sending it, or a copy of its request
-- may have been answered with its id; 0 writes nothing.
local record = redis.call('HMGET', KEYS[1], 'state', 'day', 'model', 'price_micros', 'booked_as', 'submitted_at_ms')
if record[1] ~= 'submitting' and record[1] ~= 'queued' then return 0 end
if tonumber(record[6] or 0) > 0 then return 0 end -- it was taken out of the queue: a worker is sending it
local mine = false
if KEYS[9] then
  local copy = redis.call('HMGET', KEYS[9], 'prediction', 'live_until')
  mine = copy[1] == ARGV[1]
  if mine and now_ms(ARGV[4]) >= tonumber(copy[2]) then return 0 end
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
if record[1] == 'queued' then
  leave_waiting({waiting = ARGV[8], due = KEYS[7]}, ARGV[7], ARGV[6], ARGV[1])
elseif ARGV[5] == '1' then
  redis.call('ZREM', KEYS[8], ARGV[1])
else
  redis.call('ZADD', KEYS[8], 'XX', now_ms(ARGV[4]), ARGV[1])
end
if record[2] then
  local price = record[4] or 0 -- taken from 0 below: minus a zero is "-0", which is no integer to Redis
  local month = string.sub(record[2], 1, 7)
  book(ARGV[2] .. month, ARGV[3] .. month, record[2], row_of(record[3], record[5]),
    {'admitted', -1, 'refused', 1, 'refused_micros', price, 'held', 0 - price, 'released', price})
end
if mine then redis.call('DEL', KEYS[9]) end
return 1
