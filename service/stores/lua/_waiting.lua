-- Put before every script: submissions that wait for capacity, in fair order (start-time fair queueing, after Goyal, Vin
-- and Cheng). For each class of models `{waiting}{class}` holds the tenants that wait, by tag, and
-- `{waiting}{class}:{tenant}` a tenant's own queue by time of submission. Whoever has the lowest tag is next, which moves
-- its tag on by a stride: the shorter, the heavier the tenant's weight. A tenant has its share in each class.
-- `{waiting}tags` remembers as `{class}:{tenant}` the tag a tenant has got to, and as `*` that of the last one served: who
-- comes back after a rest begins there, neither behind the others nor with a credit. As `{class}` it holds by how much
-- all tags of that class have moved on while none of it could be sent: else who comes to the class later would wait until
-- it has caught up with the other. due:submit holds everything that waits, by time of submission.
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
  local tags = redis.call('HMGET', where.waiting .. 'tags', class .. ':' .. tenant, '*', class)
  local last_served = (tags[2] or 0) - (tags[3] or 0)
  redis.call('ZADD', where.waiting .. class, math.max(tonumber(tags[1] or last_served), last_served), tenant)
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

-- By how much the tags of a class have moved on.
local function moved_on(where, class)
  return tonumber(redis.call('HGET', where.waiting .. 'tags', class) or 0)
end

-- Whose turn it is in a class, and its tag; nil when nobody waits.
local function first_in(where, class)
  local first = redis.call('ZRANGE', where.waiting .. class, 0, 0, 'WITHSCORES')
  if first[1] then return first[1], first[2] + moved_on(where, class) end
end

-- A tenant has had its turn, with `tag`. The classes that are held up, whose turn was before that, move on with it.
local function take_turn(where, class, tenant, tag, stride, held_up)
  local tags = where.waiting .. 'tags'
  local own = tag - moved_on(where, class) + stride
  redis.call('HSET', tags, class .. ':' .. tenant, own, '*', math.max(tonumber(redis.call('HGET', tags, '*') or tag), tag))
  redis.call('ZADD', where.waiting .. class, 'XX', own, tenant)
  for _, other in ipairs(CLASSES) do
    if held_up[other] and held_up[other] < tag then redis.call('HINCRBY', tags, other, tag - held_up[other]) end
  end
end

-- A tenant that waits has had a turn in vain.
local function give_turn_back(where, class, tenant, stride)
  local own = redis.call('ZSCORE', where.waiting .. class, tenant) - stride
  redis.call('HSET', where.waiting .. 'tags', class .. ':' .. tenant, own)
  redis.call('ZADD', where.waiting .. class, 'XX', own, tenant)
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
