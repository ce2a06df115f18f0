-- Put before every script: submissions that wait for capacity, in fair order (start-time fair queueing, after Goyal, Vin
-- and Cheng). For each class of models `{waiting}{class}` holds the tenants that wait, by tag, and
-- `{waiting}{class}:{tenant}` a tenant's own queue by time of submission. Whoever has the lowest tag is next, which moves
-- its tag on by a stride: the shorter, the heavier the tenant's weight. `{waiting}tags` remembers the tag each tenant
-- has got to and, as `*`, that of the last one served: who comes back after a rest begins there, neither behind the
-- others nor with a credit. due:submit holds everything that waits, by time of submission.
-- `where` has: waiting (prefix), due (due:submit).
local STRIDE = 1000000
local CLASSES = {'video', 'image'}

local function waits_in(where, class, tenant)
  return where.waiting .. class .. ':' .. tenant
end

-- Put a submission into its tenant's queue, in the place its time gives it.
local function join_waiting(where, class, tenant, id, at)
  redis.call('ZADD', waits_in(where, class, tenant), at, id)
  redis.call('ZADD', where.due, at, id)
  if redis.call('ZSCORE', where.waiting .. class, tenant) then return end
  local tags = redis.call('HMGET', where.waiting .. 'tags', tenant, '*')
  redis.call('ZADD', where.waiting .. class, math.max(tonumber(tags[1] or 0), tonumber(tags[2] or 0)), tenant)
end

-- Take a submission out of its tenant's queue, wherever in it it is: it has no turn any more.
local function lose_turn(where, class, tenant, id)
  redis.call('ZREM', waits_in(where, class, tenant), id)
  if redis.call('EXISTS', waits_in(where, class, tenant)) == 0 then
    redis.call('ZREM', where.waiting .. class, tenant)
  end
end

-- Take a submission out. When nobody waits any more, tags begin anew.
local function leave_waiting(where, class, tenant, id)
  lose_turn(where, class, tenant, id)
  redis.call('ZREM', where.due, id)
  if redis.call('EXISTS', where.due) == 0 then redis.call('DEL', where.waiting .. 'tags') end
end

-- Move a tenant's tag on to `tag`, in every class in which it waits.
local function move_tag(where, tenant, tag)
  redis.call('HSET', where.waiting .. 'tags', tenant, tag)
  for _, class in ipairs(CLASSES) do
    redis.call('ZADD', where.waiting .. class, 'XX', tag, tenant)
  end
end

-- The length of a tenant's stride.
local function stride_of(tenant_key)
  return math.floor(STRIDE / tonumber(redis.call('HGET', tenant_key, 'weight') or 1))
end

-- How many submissions of a tenant wait.
local function waiting_of(where, tenant)
  local count = 0
  for _, class in ipairs(CLASSES) do
    count = count + redis.call('ZCARD', waits_in(where, class, tenant))
  end
  return count
end
