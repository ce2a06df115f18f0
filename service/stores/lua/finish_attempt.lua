-- Record how an attempt went and what follows: delivered, the next attempt, or the dead-letter lists; and what it says
-- of its lane.
-- KEYS[1] due:deliver, KEYS[2] delivery hash, KEYS[3] its attempts
-- KEYS[4] the dead-letter list, KEYS[5] the tenant's dead letters
-- ARGV[1] delivery id
-- ARGV[2] lease token
-- ARGV[3] state now: "delivered", "pending" or "dead"
-- ARGV[4] ms until the next attempt (only for "pending")
-- ARGV[5] the attempt (JSON)
-- ARGV[6] how many attempts to keep
-- ARGV[7] lifetime of the delivery from now, in ms
-- ARGV[8] how many dead letters to keep
-- ARGV[9] now in ms, or "" for the server's clock
-- ARGV[10] prefix of lanes
-- ARGV[11] places of a lane
-- ARGV[12] what it says of the lane: "well", "answers" (with something other than 2xx), "trouble" or "nothing"
-- ARGV[13] troubles in a row that open the breaker, ARGV[14] ms it stays open at first, ARGV[15] at most
-- ARGV[16] lifetime of a lane's health in ms
-- ARGV[17] the failure in words
-- ARGV[18] whether a dead one is listed: 1 or 0
-- Returns {ours, more, breaker, failing}. ours: 0 when the lease was lost: then another worker has the delivery and only
-- the attempt is noted. more: 1 when the lane has more that is due and room for it. breaker: "opened", "closed" or "".
-- failing: ms since when the lane has had nothing but failures, 0 when it has not.
local now = now_ms(ARGV[9])
local lane = redis.call('HGET', KEYS[2], 'lane')
if not lane then return {0, 0, '', 0} end
local key = ARGV[10] .. lane
redis.call('LPUSH', KEYS[3], ARGV[5])
redis.call('LTRIM', KEYS[3], 0, ARGV[6] - 1)
redis.call('PEXPIRE', KEYS[3], ARGV[7])
local breaker, failing = '', 0
if ARGV[12] ~= 'nothing' then
  local health = redis.call('HMGET', key, 'open_until', 'window', 'troubles', 'failing_since', 'opened')
  local tried = health[1] and tonumber(health[1]) <= now
  if ARGV[12] == 'well' then
    redis.call('HSET', key, 'well_at', now)
    redis.call('HINCRBY', key, 'delivered', 1)
    redis.call('HDEL', key, 'failing_since')
  else
    if not health[4] then redis.call('HSET', key, 'failing_since', now) end
    failing = now - (health[4] or now)
    redis.call('HSET', key, 'failed_at', now, 'failure', ARGV[17])
    redis.call('HINCRBY', key, 'failed', 1)
  end
  if ARGV[12] == 'trouble' then
    local troubles = redis.call('HINCRBY', key, 'troubles', 1)
    if tried or (not health[1] and troubles >= tonumber(ARGV[13])) then
      local opened = redis.call('HINCRBY', key, 'opened', 1)
      local hold = math.min(tonumber(ARGV[15]), ARGV[14] * 2 ^ math.min(opened - 1, 20))
      redis.call('HSET', key, 'open_until', string.format('%.0f', now + hold))
      redis.call('HDEL', key, 'window')
      breaker = 'opened'
    end
  else -- whatever it says, somebody is there: slow start after a breaker, one more with each answer
    redis.call('HDEL', key, 'troubles', 'opened')
    if health[1] then
      redis.call('HDEL', key, 'open_until')
      redis.call('HSET', key, 'window', 2)
      breaker = 'closed'
    elseif health[2] then
      if redis.call('HINCRBY', key, 'window', 1) >= tonumber(ARGV[11]) then redis.call('HDEL', key, 'window') end
    end
  end
  redis.call('PEXPIRE', key, ARGV[16])
end
local lease = redis.call('ZSCORE', key .. ':taken', ARGV[1])
local ours = lease and tonumber(lease) == tonumber(ARGV[2])
-- A success counts even from a lost lease: the receiver has it.
if ours or ARGV[3] == 'delivered' then
  redis.call('HSET', KEYS[2], 'state', ARGV[3], 'last_attempt_at_ms', now)
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
  redis.call('ZREM', key .. ':taken', ARGV[1])
  redis.call('ZREM', key .. ':due', ARGV[1])
  local lists = {KEYS[4], KEYS[5], key .. ':dead'}
  if ARGV[3] == 'pending' then let_wait(KEYS[1], ARGV[10], lane, ARGV[1], now + ARGV[4], ARGV[7]) end
  if ARGV[3] == 'delivered' then
    for _, list in ipairs(lists) do
      redis.call('ZREM', list, ARGV[1])
    end
  end
  if ARGV[3] == 'dead' and ARGV[18] == '1' then
    for _, list in ipairs(lists) do
      redis.call('ZADD', list, now, ARGV[1])
      redis.call('ZREMRANGEBYSCORE', list, '-inf', now - ARGV[7])
      redis.call('ZREMRANGEBYRANK', list, 0, -ARGV[8] - 1)
      redis.call('PEXPIRE', list, ARGV[7])
    end
  end
end
schedule_lane(KEYS[1], ARGV[10], lane, ARGV[11], now)
local next_look = redis.call('ZSCORE', KEYS[1], lane)
return {ours and 1 or 0, next_look and tonumber(next_look) <= now and 1 or 0, breaker, failing}
