-- Make one submission durable before anything is sent upstream, and charge the tenant's limits for it: all or nothing.
-- Where the account has capacity and nobody waits for it, the submission is to be sent at once; otherwise it waits.
-- Reads and checks everything first and writes last. Running it again for an id that exists changes nothing.
-- KEYS[1] prediction hash, KEYS[2] tenant hash, KEYS[3] the tenant's predictions, KEYS[4] due:poll
-- KEYS[5] the tenant's slots, KEYS[6] its rate, KEYS[7] open predictions
-- KEYS[8] the unconfirmed of its model and inputs, KEYS[9] the account, KEYS[10] due:submit
-- KEYS[11] starts of its class, KEYS[12] the idempotency record, if the caller gave a key
-- ARGV[1] prediction id
-- ARGV[2] ms until somebody must look whether the submission was confirmed
-- ARGV[3] lifetime of the record, and so of its place in the list and of its slot, in ms
-- ARGV[4] now in ms, or "" for the server's clock
-- ARGV[5] model, ARGV[6] price in micro-dollars
-- ARGV[7] ms after which the slot is looked at if its prediction has not ended by then
-- ARGV[8] prefix of the tenant's ledgers, ARGV[9] prefix of its usage; the month completes them
-- ARGV[10] lifetime of ledger and usage in ms
-- ARGV[11] prefix of prediction hashes
-- ARGV[12] fingerprint of the request, ARGV[13] ms for which a copy counts as live, ARGV[14] lifetime of the
--          idempotency record in ms (these three only matter with KEYS[12])
-- ARGV[15] lifetime of KEYS[8] in ms, ARGV[16] ms until it counts as stuck
-- ARGV[17] class of the model, ARGV[18] the account's concurrency and ARGV[19] its submissions of the class a minute, each
--          "" for no limit
-- ARGV[20] most submissions a tenant may have waiting that has no limit of its own for that, ARGV[21] prefix of the queue
-- ARGV[22] tenant, ARGV[23] when it was submitted, in ms
-- ARGV[24...] the record: field, value, ...
-- Returns {outcome, now, day, 1 if the account's balance is low or 0, {name, limit, left, reset in ms or -1, window in ms
-- or 0, verdict}, ...}. Outcomes: "admitted" (send it), "queued"; "refused" (by limits), "no tenant", "suspended",
-- "model denied", "account" (the upstream refuses the account), "mismatch" (the idempotency key belongs to another
-- request), "live" (to a copy being answered just now), "replay" (the third element is then the id of the prediction of
-- an earlier copy). All but the first two write nothing, but that a replay makes sure of what it tells.
local now = now_ms(ARGV[4])
local day = day_of(now)
if redis.call('EXISTS', KEYS[1]) == 1 then
  local there = redis.call('HMGET', KEYS[1], 'state', 'day')
  return {there[1] == 'queued' and 'queued' or 'admitted', now, there[2], 0}
end
if KEYS[12] then
  local earlier = redis.call('HMGET', KEYS[12], 'fingerprint', 'prediction', 'live_until')
  local state = earlier[2] and redis.call('HGET', ARGV[11] .. earlier[2], 'state')
  if state then
    if earlier[1] ~= ARGV[12] then return {'mismatch', now, day} end
    if state == 'submitting' and now < tonumber(earlier[3]) then return {'live', now, day} end
    -- The first copy may not know of its own admission: it must not take back what this one is told.
    if state == 'queued' then redis.call('HSET', KEYS[12], 'live_until', 0) end
    return {'replay', now, earlier[2]}
  end
end
local tenant = redis.call('HMGET', KEYS[2], 'state', 'models', 'shadow', 'rate_per_minute', 'burst', 'concurrency',
  'daily', 'monthly', 'budget_micros', 'max_queued')
if not tenant[1] then return {'no tenant', now, day} end
if tenant[1] ~= 'active' then return {'suspended', now, day} end
if tenant[2] then
  local allowed = false
  for _, pattern in ipairs(cjson.decode(tenant[2])) do
    local escaped = string.gsub(pattern, '[^%w*]', '%%%0')
    allowed = allowed or string.find(ARGV[5], '^' .. string.gsub(escaped, '%*', '.*') .. '$') ~= nil
  end
  if not allowed then return {'model denied', now, day} end
end
local account = read_account(KEYS[9])
if account.paused_by == 'account' then return {'account', now, day} end
local waits = account.paused_by or account.failures > 0 or now < account.blocked_until or redis.call('EXISTS', KEYS[10]) == 1
  or free_slots(account, KEYS[7], ARGV[18], now) < 1 or free_starts(account, KEYS[11], ARGV[17], ARGV[19], now) < 1
local where = {waiting = ARGV[21], due = KEYS[10]}
local price = tonumber(ARGV[6])
local month = string.sub(day, 1, 7)
local ledger, usage = ARGV[8] .. month, ARGV[9] .. month
local booked = redis.call('HMGET', ledger, 'admitted:' .. day, 'admitted', 'held', 'settled')
local shadow = ',' .. (tenant[3] or '') .. ','
local answer = {waits and 'queued' or 'admitted', now, day, account.low}
local function judge(name, limit, left, cost, reset, window)
  local verdict = 'ok'
  if left < cost then
    verdict = string.find(shadow, ',' .. name .. ',', 1, true) and 'shadow' or 'refused'
  elseif limit - left + cost >= limit * 0.8 then
    verdict = 'near'
  end
  if verdict == 'refused' then answer[1] = 'refused' end
  answer[#answer + 1] = {name, limit, left, reset, window, verdict}
end
-- Rate: GCRA (ITU-T I.371). `full_at` is when the bucket would be full again; a submission moves it by `step`, and it
-- may lie ahead by a whole bucket at most. Whole microseconds, so that nothing is lost to rounding.
local full_at, step
if tenant[4] then
  step = math.ceil(60000000 / tenant[4])
  local size = tonumber(tenant[5] or tenant[4])
  local now_us = now * 1000
  full_at = math.max(now_us, math.min(tonumber(redis.call('GET', KEYS[6]) or '0'), now_us + step * size))
  local room = now_us + step * size - full_at
  local left = math.floor(room / step)
  local reset = left < 1 and step - room or full_at + step - now_us
  judge('rate', size, left, 1, math.ceil(reset / 1000), math.ceil(step * size / 1000))
end
if tenant[6] then
  judge('concurrency', tonumber(tenant[6]), tenant[6] - redis.call('ZCARD', KEYS[5]), 1, -1, 0)
end
if tenant[7] then judge('daily', tonumber(tenant[7]), tenant[7] - (booked[1] or 0), 1, -1, 0) end
if tenant[8] then judge('monthly', tonumber(tenant[8]), tenant[8] - (booked[2] or 0), 1, -1, 0) end
if tenant[9] then
  judge('budget', tonumber(tenant[9]), tenant[9] - (booked[3] or 0) - (booked[4] or 0), price, -1, 0)
end
if waits then
  local most = tonumber(tenant[10] or ARGV[20])
  judge('queued', most, most - waiting_of(where, ARGV[22]), 1, -1, 0)
end
if answer[1] == 'refused' then return answer end
-- Everything is checked; from here on nothing can fail.
for i = 5, #answer do
  local cost = answer[i][1] == 'budget' and price or 1
  answer[i][3] = answer[i][3] - cost
end
redis.call('HSET', KEYS[1], 'day', day, unpack(ARGV, 24))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
if waits then
  redis.call('HSET', KEYS[1], 'state', 'queued')
  join_waiting(where, ARGV[17], ARGV[22], ARGV[1], ARGV[23])
else
  redis.call('ZADD', KEYS[4], now + ARGV[2], ARGV[1])
  redis.call('ZADD', KEYS[7], now + ARGV[16], ARGV[1])
  redis.call('ZADD', KEYS[8], ARGV[23], ARGV[1])
  redis.call('PEXPIRE', KEYS[8], ARGV[15])
  if ARGV[19] ~= '' or account[ARGV[17]][1] then note_start(KEYS[11], ARGV[1], now + ARGV[2], now) end
end
redis.call('ZADD', KEYS[5], now + ARGV[7], ARGV[1])
redis.call('PEXPIRE', KEYS[5], ARGV[3])
if full_at then
  local ahead = full_at + step
  redis.call('SET', KEYS[6], string.format('%.0f', ahead), 'PX', math.ceil(ahead / 1000 - now) + 1000)
end
book(ledger, usage, day, row_of(ARGV[5], redis.call('HGET', KEYS[1], 'booked_as')), {'admitted', 1, 'held', price, 'ever', price})
redis.call('PEXPIRE', ledger, ARGV[10])
redis.call('PEXPIRE', usage, ARGV[10])
if KEYS[12] then
  redis.call('HSET', KEYS[12], 'fingerprint', ARGV[12], 'prediction', ARGV[1], 'live_until', now + ARGV[13])
  redis.call('PEXPIRE', KEYS[12], ARGV[14])
end
return answer
