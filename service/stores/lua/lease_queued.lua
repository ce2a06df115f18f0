-- Take submissions out of the queue in fair order, as many as the account has capacity for, and put them where
-- submissions under way are; also name those that have waited for too long.
-- KEYS[1] due:submit, KEYS[2] the account, KEYS[3] open predictions, KEYS[4] due:poll
-- KEYS[5] starts of videos, KEYS[6] starts of images, KEYS[7] the answer to this call, should it have been made before
-- ARGV[1] most submissions to take
-- ARGV[2] ms until somebody must look whether a submission was confirmed: it is over by then
-- ARGV[3] now in ms, or "" for the server's clock
-- ARGV[4] the account's concurrency, ARGV[5] its videos and ARGV[6] its images a minute, each "" for no limit
-- ARGV[7] longest wait in ms
-- ARGV[8] ms until a submission under way counts as stuck
-- ARGV[9] prefix of the queue, ARGV[10] of predictions, ARGV[11] of tenants, ARGV[12] of the unconfirmed
-- ARGV[13] lifetime of an index of the unconfirmed in ms, ARGV[14] ms until one that waited for too long is named again
-- ARGV[15] ms for which the answer is remembered
-- Returns {token, ms until it is worth trying again or "" when nothing waits, id, ...}. A token is no lease here: what is
-- taken is `submitting`, and is looked for, never sent again, should its worker die.
local given = redis.call('LRANGE', KEYS[7], 0, -1)
if #given > 0 then return given end
local now = now_ms(ARGV[3])
local answer = {string.format('%.0f', now), ''}
local most = tonumber(ARGV[1])
local where = {waiting = ARGV[9], due = KEYS[1]}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[7], 'BYSCORE', 'LIMIT', 0, most)) do
  redis.call('ZADD', KEYS[1], now - ARGV[7] + ARGV[14], id)
  local record = redis.call('HMGET', ARGV[10] .. id, 'tenant', 'model_class')
  if record[1] then lose_turn(where, record[2], record[1], id) end -- who ends it must never find that it was taken
  answer[#answer + 1] = id
end
local account = read_account(KEYS[2])
local wait = nil
local function try_again_in(ms)
  wait = math.max(0, math.min(wait or ms, ms))
end
if not account.paused_by and now >= account.blocked_until then
  -- After a refusal one goes ahead, to see whether it is over, and the others wait for what it says.
  local probing = account.failures > 0
  if probing then most = math.min(most, #answer - 2 + (now < account.probe_until and 0 or 1)) end
  local starts = {video = KEYS[5], image = KEYS[6]}
  local per_minute = {video = ARGV[5], image = ARGV[6]}
  local slots, raised = free_slots(account, KEYS[3], ARGV[4], now)
  while #answer - 2 < most and slots > 0 do
    local first, held_up, all_free = nil, {}, 0
    wait = nil
    for _, class in ipairs(CLASSES) do
      local candidate = first_in(where, class)
      if candidate then
        local free, free_in = free_starts(account, starts[class], class, per_minute[class], now)
        all_free = all_free + free
        if free < 1 then
          held_up[class] = candidate.tag
          try_again_in(free_in)
        elseif not first or goes_before(candidate, first) then
          first = candidate
        end
      end
    end
    if not first then break end
    local id = first.id
    leave_waiting(where, first.class, first.tenant, id)
    local key = ARGV[10] .. id
    local record = redis.call('HMGET', key, 'state', 'rev', 'model', 'input_sha256')
    if record[1] == 'queued' then -- else its record has ended its life
      if redis.call('EXISTS', KEYS[1]) == 1 then -- else nobody waits any more, and tags have begun anew
        take_turn(where, first, stride_of(ARGV[11] .. first.tenant), slots < all_free, held_up)
      end
      redis.call('HSET', key, 'state', 'submitting', 'rev', record[2] + 1, 'submitted_at_ms', now)
      redis.call('ZADD', KEYS[4], now + ARGV[2], id)
      redis.call('ZADD', KEYS[3], now + ARGV[8], id)
      local twins = ARGV[12] .. record[3] .. ':' .. record[4]
      redis.call('ZADD', twins, now, id)
      redis.call('PEXPIRE', twins, ARGV[13])
      if per_minute[first.class] ~= '' or account[first.class][1] then
        note_start(starts[first.class], id, now + ARGV[2], now)
      end
      if probing then redis.call('HSET', KEYS[2], 'probe_until', now + ARGV[2]) end
      slots = slots - 1
      answer[#answer + 1] = id
    end
  end
  if slots < 1 then try_again_in(raised) end
elseif not account.paused_by then
  try_again_in(account.blocked_until - now)
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if oldest[2] then
  try_again_in(oldest[2] + ARGV[7] - now)
  answer[2] = string.format('%.0f', wait)
end
if #answer > 2 then
  redis.call('RPUSH', KEYS[7], unpack(answer))
  redis.call('PEXPIRE', KEYS[7], ARGV[15])
end
return answer
