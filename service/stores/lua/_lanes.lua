-- Put before every script: lanes, the queue of deliveries that each receiver has to itself. A lane is a hash (its
-- health), a sorted set `:due` (what waits, by due time) and a sorted set `:taken` (what somebody is busy with, by the
-- end of that lease). due:deliver holds every lane with anything in it, by when it is next worth looking at.

-- How many deliveries a lane may have in hand at `now`: none while its breaker is open, one to try when that time is
-- over, few after a recovery, and `places` otherwise.
local function lane_room(lane, places, now)
  local health = redis.call('HMGET', lane, 'open_until', 'window')
  if health[1] then return tonumber(health[1]) > now and 0 or 1 end
  return math.min(tonumber(places), tonumber(health[2] or places))
end

-- Say in due:deliver when a lane is next worth looking at: never before now, so that lanes take turns.
local function schedule_lane(due_lanes, prefix, id, places, now)
  local lane = prefix .. id
  local waiting = redis.call('ZRANGE', lane .. ':due', 0, 0, 'WITHSCORES')
  local taken = redis.call('ZRANGE', lane .. ':taken', 0, 0, 'WITHSCORES')
  local at = taken[2] and tonumber(taken[2])
  if waiting[2] then
    local from = math.max(tonumber(waiting[2]), tonumber(redis.call('HGET', lane, 'open_until') or 0), now)
    if redis.call('ZCARD', lane .. ':taken') < lane_room(lane, places, from) then at = math.min(at or from, from) end
  end
  if at then
    redis.call('ZADD', due_lanes, at, id)
  else
    redis.call('ZREM', due_lanes, id)
  end
end

-- Let a delivery wait in its lane until `at`; whoever serves lanes is told that it may be worth looking.
local function let_wait(due_lanes, prefix, lane, id, at, lifetime)
  redis.call('ZADD', prefix .. lane .. ':due', at, id)
  redis.call('PEXPIRE', prefix .. lane .. ':due', lifetime)
  redis.call('ZADD', due_lanes, 'LT', at, lane)
end

-- Owe a message to an address: a new delivery in its lane, with its record, and its place in the lists.
-- `where` has: due_lanes, lanes (prefix), deliveries (prefix), list (the tenant's deliveries), lifetime, now.
local function owe(where, id, lane, ...)
  local record = where.deliveries .. id
  redis.call('HSET', record, 'lane', lane, 'state', 'pending', 'attempts', 0, 'created_at_ms', where.now, ...)
  redis.call('PEXPIRE', record, where.lifetime)
  let_wait(where.due_lanes, where.lanes, lane, id, where.now, where.lifetime)
  for _, list in ipairs({where.list, where.lanes .. lane .. ':deliveries'}) do
    redis.call('ZADD', list, where.now, id)
    redis.call('ZREMRANGEBYSCORE', list, '-inf', where.now - where.lifetime)
    redis.call('PEXPIRE', list, where.lifetime)
  end
end

-- The tenant's endpoints that get events of a type: one with no list of types gets every event, a disabled one none.
local function receivers_of(endpoints, type, except)
  local found = {}
  local stored = redis.call('HGETALL', endpoints)
  for i = 2, #stored, 2 do
    local endpoint = cjson.decode(stored[i])
    local wanted = #endpoint.events == 0
    for _, listed in ipairs(endpoint.events) do
      wanted = wanted or listed == type
    end
    if wanted and endpoint.state == 'enabled' and endpoint.id ~= except then found[#found + 1] = endpoint.id end
  end
  return found
end

-- Forget a prediction's deliveries, whatever their state: they leave their lanes and the given lists. `set` names them;
-- it is forgotten too.
local function drop_deliveries(set, due_lanes, deliveries, lanes, lists)
  for _, id in ipairs(redis.call('SMEMBERS', set)) do
    local lane = redis.call('HGET', deliveries .. id, 'lane')
    redis.call('DEL', deliveries .. id, deliveries .. id .. ':attempts')
    for _, list in ipairs(lists) do
      redis.call('ZREM', list, id)
    end
    if lane then
      for _, part in ipairs({':due', ':taken', ':deliveries', ':dead'}) do
        redis.call('ZREM', lanes .. lane .. part, id)
      end
      if redis.call('EXISTS', lanes .. lane .. ':due', lanes .. lane .. ':taken') == 0 then
        redis.call('ZREM', due_lanes, lane)
      end
    end
  end
  redis.call('DEL', set)
end
