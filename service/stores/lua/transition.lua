-- The one writer of a prediction's state: compare-and-set on its revision, with everything the move brings along.
-- KEYS[1] prediction hash, KEYS[2] its events, KEYS[3] due:poll, KEYS[4] the tenant's endpoints, KEYS[5] due:deliver
-- KEYS[6] the tenant's slots, KEYS[7] the ledger and KEYS[8] the usage of the month of admission
-- KEYS[9] open predictions, KEYS[10] due:retain, KEYS[11] its deliveries, KEYS[12] the orphaned
-- KEYS[13] the unconfirmed of its model and inputs
-- KEYS[14] the tenant's deliveries, KEYS[15] the tenant's events
-- KEYS[16] the tenant's predictions, KEYS[17] dead letters, KEYS[18] the tenant's dead letters: for one that is deleted
-- KEYS[19] due:submit, KEYS[20] starts of its class, KEYS[21] the tenant's deleted predictions
-- KEYS[22] the upstream task index, of the task it has or had: claimed, released, or kept as long as the record
-- ARGV[1] prediction id
-- ARGV[2] the revision the change was computed from
-- ARGV[3] ms until the next look, or "" when there is nothing more to look at
-- ARGV[4] lifetime of the record and what belongs to it in ms
-- ARGV[5] what becomes of the upstream task: "claim", "release" or ""
-- ARGV[6] event type, or "" for a silent move
-- ARGV[7] event sequence
-- ARGV[8] event body (JSON)
-- ARGV[9] per-request callback URL, or "": gets a delivery of its own with body ARGV[10]
-- ARGV[10] body for that callback
-- ARGV[11] prefix of delivery keys
-- ARGV[12] lifetime of a delivery in ms
-- ARGV[13] now in ms, or "" for the server's clock
-- ARGV[14] what becomes of the held money: "settled", "released", or "" while it stays held
-- ARGV[15] the end this move is, for the tenant's usage ("completed", ...), or "": it also frees the slot
-- ARGV[16] ms until the next step of its retention, or "" while that does not change
-- ARGV[17] ms until it counts as stuck, or "" when nothing is to be found out upstream any more
-- ARGV[18] among the unconfirmed: "join" (then KEYS[13] lives ARGV[19] ms), "leave" or ""
-- ARGV[20] most entries of the orphaned if it is one from now on, else ""
-- ARGV[21] prefix of lanes, ARGV[22] the callback's lane, ARGV[23] most events the tenant's log keeps
-- ARGV[24] the channel on which moves are told
-- ARGV[25] "hide" when its tenant deleted it: what was owed of it, and its events, go with it
-- ARGV[26] in the queue: "join" (at its own time), "back" (the same, and its turn is given back), "leave" or ""
-- ARGV[27] class of the model, ARGV[28] tenant, ARGV[29] when it was submitted in ms, ARGV[30] prefix of the queue
-- ARGV[31] "over" when its submission is: it counts as a start from now on for a minute
-- ARGV[32] prefix of tenants, ARGV[33] -1 when its count is given back, else 0
-- ARGV[34...] the record's changed fields: field, value, ...
-- Returns {"moved", deliveries made, 1 if somebody waits for capacity or 0}, or {"stale"} (another writer was first), {"gone"}, {"claimed", owner} (the
-- upstream task belongs to another prediction); these three write nothing.
local revision = redis.call('HGET', KEYS[1], 'rev')
if not revision then return {'gone'} end
if revision ~= ARGV[2] then return {'stale'} end
if ARGV[5] == 'claim' then
  local owner = redis.call('GET', KEYS[22])
  if owner and owner ~= ARGV[1] then return {'claimed', owner} end
end
local now = now_ms(ARGV[13])
local receivers = ARGV[6] ~= '' and receivers_of(KEYS[4], ARGV[6]) or {}
-- Nothing was written up to here; from here on nothing can fail.
redis.call('HSET', KEYS[1], unpack(ARGV, 34))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[5] == 'claim' then
  redis.call('SET', KEYS[22], ARGV[1], 'PX', ARGV[4])
elseif KEYS[22] and redis.call('GET', KEYS[22]) == ARGV[1] then
  redis.call('PEXPIRE', KEYS[22], ARGV[5] == 'release' and 0 or ARGV[4])
end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
end
if ARGV[17] == '' then
  redis.call('ZREM', KEYS[9], ARGV[1])
else
  redis.call('ZADD', KEYS[9], now + ARGV[17], ARGV[1])
end
if ARGV[16] ~= '' then redis.call('ZADD', KEYS[10], now + ARGV[16], ARGV[1]) end
if ARGV[18] == 'join' then
  local sent = redis.call('HMGET', KEYS[1], 'submitted_at_ms', 'created_at_ms')
  redis.call('ZADD', KEYS[13], sent[1] and sent[1] ~= '0' and sent[1] or sent[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[13], ARGV[19])
elseif ARGV[18] == 'leave' then
  redis.call('ZREM', KEYS[13], ARGV[1])
end
if ARGV[20] ~= '' then
  redis.call('ZADD', KEYS[12], now, ARGV[1])
  redis.call('ZREMRANGEBYRANK', KEYS[12], 0, -1 - ARGV[20])
end
if ARGV[15] ~= '' then redis.call('ZREM', KEYS[6], ARGV[1]) end
local where = {waiting = ARGV[30], due = KEYS[19]}
if ARGV[26] == 'leave' then
  leave_waiting(where, ARGV[27], ARGV[28], ARGV[1])
elseif ARGV[26] ~= '' then
  join_waiting(where, ARGV[27], ARGV[28], ARGV[1], ARGV[29])
  if ARGV[26] == 'back' then give_turn_back(where, ARGV[27], ARGV[28], stride_of(ARGV[32] .. ARGV[28])) end
end
if ARGV[31] == 'over' then
  local start = ARGV[1]
  if ARGV[26] ~= '' and redis.call('ZREM', KEYS[20], start) == 1 then -- it will be sent again, and count once more
    start = start .. ':' .. revision
    redis.call('ZADD', KEYS[20], now, start)
  end
  redis.call('ZADD', KEYS[20], 'XX', now, start)
end
local held = redis.call('HMGET', KEYS[1], 'day', 'model', 'price_micros', 'booked_as')
if held[1] and (ARGV[14] ~= '' or ARGV[15] ~= '') then -- a record of an older version was never booked
  local columns = {}
  if ARGV[15] ~= '' then columns = {ARGV[15], 1} end
  if ARGV[33] ~= '0' then columns[3], columns[4] = 'admitted', ARGV[33] end
  if ARGV[14] ~= '' then
    for _, part in ipairs({'held', 0 - held[3], ARGV[14], held[3]}) do columns[#columns + 1] = part end
  end
  book(KEYS[7], KEYS[8], held[1], row_of(held[2], held[4]), columns)
end
if ARGV[25] == 'hide' then
  drop_deliveries(KEYS[11], KEYS[5], ARGV[11], ARGV[21], {KEYS[14], KEYS[17], KEYS[18]})
  redis.call('DEL', KEYS[2])
  -- It is in no list any more, but it stays in the books.
  redis.call('ZADD', KEYS[21], redis.call('ZSCORE', KEYS[16], ARGV[1]) or now, ARGV[1])
  redis.call('PEXPIRE', KEYS[21], math.max(ARGV[4], redis.call('PTTL', KEYS[21])))
  redis.call('ZREM', KEYS[16], ARGV[1])
  if held[1] then redis.call('HINCRBY', KEYS[7], 'moves:' .. held[1], 1) end
  redis.call('PUBLISH', ARGV[24], ARGV[1])
end
local waiting = redis.call('EXISTS', KEYS[19])
if ARGV[6] == '' then return {'moved', 0, waiting} end
redis.call('PUBLISH', ARGV[24], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[7], ARGV[8])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
local owner = redis.call('HMGET', KEYS[1], 'tenant', 'traceparent')
log_event(KEYS[15], ARGV[23], ARGV[4], 'type', ARGV[6], 'prediction', ARGV[1], 'sequence', ARGV[7])
local where = {due_lanes = KEYS[5], lanes = ARGV[21], deliveries = ARGV[11], list = KEYS[14], lifetime = ARGV[12], now = now}
local function owe_event(suffix, lane, ...)
  local id = ARGV[1] .. '-' .. ARGV[7] .. '-' .. suffix
  owe(where, id, lane, 'tenant', owner[1], 'prediction', ARGV[1], 'sequence', ARGV[7], 'event', ARGV[6], ...)
  if (owner[2] or '') ~= '' then redis.call('HSET', ARGV[11] .. id, 'traceparent', owner[2]) end
  redis.call('SADD', KEYS[11], id)
  redis.call('PEXPIRE', KEYS[11], ARGV[4])
end
for _, endpoint in ipairs(receivers) do
  -- The end of `ep_...` tells endpoints apart; all of it would make a delivery's id, which stands in five places, too
  -- long to be kept small in a set.
  local short = 'ep_' .. string.sub(string.sub(endpoint, 4), -16)
  owe_event(short, endpoint, 'endpoint', endpoint, 'message_id', 'evt_' .. ARGV[1] .. '_' .. ARGV[7])
end
local made = #receivers
if ARGV[9] ~= '' then
  owe_event('callback', ARGV[22], 'url', ARGV[9], 'body', ARGV[10], 'message_id', ARGV[1])
  made = made + 1
end
return {'moved', made, waiting}
