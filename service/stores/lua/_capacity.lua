-- Put before every script: what the account upstream allows at this moment. Its hash holds what was learned: limits that
-- were lowered and when (`concurrency`, `concurrency_at`, `video`, ...), a back-off (`blocked_until`, `failures`,
-- and `probe_until` while one goes ahead to see whether it is over), a pause (`paused_by`) and whether its balance is `low`.
local MINUTE_MS = 60100 -- and a little: the upstream's minute is not ours to the millisecond
local RELEARN_MS = 3600000 -- a limit that nobody configured is forgotten after so long without a refusal

-- The limit in force: what is configured ('' for none), or what it was lowered to, and one more for each clean minute.
local function allowed(configured, lowered, since, now)
  local most = tonumber(configured)
  if not lowered or (not most and now - since >= RELEARN_MS) then return most end
  local raised = lowered + math.floor((now - since) / 60000)
  return most and math.min(most, raised) or raised
end

local function read_account(key)
  local found = redis.call('HMGET', key, 'paused_by', 'blocked_until', 'failures', 'low', 'concurrency',
    'concurrency_at', 'video', 'video_at', 'image', 'image_at', 'probe_until')
  local account = {paused_by = found[1], blocked_until = tonumber(found[2] or 0), failures = tonumber(found[3] or 0)}
  account.low = found[4] and 1 or 0
  account.probe_until = tonumber(found[11] or 0)
  account.concurrency = {tonumber(found[5] or nil), tonumber(found[6] or nil)}
  account.video = {tonumber(found[7] or nil), tonumber(found[8] or nil)}
  account.image = {tonumber(found[9] or nil), tonumber(found[10] or nil)}
  return account
end

-- In how many ms a limit that was lowered is raised by one.
local function raised_in(configured, lowered, since, now)
  if not lowered or allowed(configured, lowered, since, now) == tonumber(configured) then return math.huge end
  return 60000 - (now - since) % 60000
end

-- How many more tasks the account may have, and in how many ms that may be one more though none ends.
local function free_slots(account, open, configured, now)
  local most = allowed(configured, account.concurrency[1], account.concurrency[2], now)
  if not most then return math.huge, 0 end
  return most - redis.call('ZCARD', open), raised_in(configured, account.concurrency[1], account.concurrency[2], now)
end

-- How many more submissions of a class may be sent now, and in how many ms that is one more. `starts` remembers those of
-- the last minute: one under way counts until it is over, one that was answered from its answer on, since nobody knows
-- when in between it arrived.
local function free_starts(account, starts, class, configured, now)
  local most = allowed(configured, account[class][1], account[class][2], now)
  if not most then return math.huge, 0 end
  redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - MINUTE_MS)
  local used = redis.call('ZCARD', starts)
  if used < most then return most - used, 0 end
  local first = redis.call('ZRANGE', starts, used - most, used - most, 'WITHSCORES')
  local over_in = tonumber(first[2]) + MINUTE_MS - now
  return 0, math.min(over_in, raised_in(configured, account[class][1], account[class][2], now))
end

-- Count a submission that is about to be sent, until it is over at the latest.
local function note_start(starts, id, over, now)
  redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - MINUTE_MS)
  redis.call('ZADD', starts, over, id)
  redis.call('PEXPIRE', starts, over - now + MINUTE_MS)
end
