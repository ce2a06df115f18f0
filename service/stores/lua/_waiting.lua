-- Put before every script: submissions that wait for capacity, in fair order (start-time fair queueing, after Goyal, Vin
-- and Cheng). For each class of models `{waiting}{class}` holds the tenants that wait, by tag, and
-- `{waiting}{class}:{tenant}` a tenant's own queue by time of submission. Whoever has the lowest tag is next, which moves
-- its tag on by a stride: the shorter, the heavier the tenant's weight. That counts in both classes where they compete,
-- because slots are short; where only starts are, a tenant must not wait in one class for what it had of the other.
-- `{waiting}tags` remembers as `{class}:{tenant}` the tag a tenant has got to, and as `*` that of the last one served: who
-- comes back after a rest begins there, neither behind the others nor with a credit. As `{class}` it holds by how much
-- all tags of that class have moved on while its starts were used up: else who comes to it later would wait until it has
-- caught up with the other. due:submit holds everything that waits, by time of submission.
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

-- Whose turn it is in a class; nil when nobody waits.
local function first_in(where, class)
  local first = redis.call('ZRANGE', where.waiting .. class, 0, 0, 'WITHSCORES')
  if not first[1] then return end
  local ahead = moved_on(where, class)
  local oldest = redis.call('ZRANGE', waits_in(where, class, first[1]), 0, 0, 'WITHSCORES')
  return {class = class, tenant = first[1], tag = first[2] + ahead, ahead = ahead, id = oldest[1], at = tonumber(oldest[2])}
end

-- Which of two goes first. Of equal tags that of the class which was held up; then a tenant's in the order they came.
local function goes_before(one, other)
  if one.tag ~= other.tag then return one.tag < other.tag end
  if one.ahead ~= other.ahead then return one.ahead > other.ahead end
  if one.tenant ~= other.tenant then return one.tenant < other.tenant end
  if one.at ~= other.at then return one.at < other.at end
  return one.id < other.id
end

-- `first` has had its turn; `compete` says whether the classes do. `held_up` has the tags of those first in the classes
-- whose starts are used up: where that is before this turn, the class moves on to it.
local function take_turn(where, first, stride, compete, held_up)
  local tags = where.waiting .. 'tags'
  redis.call('HSET', tags, '*', math.max(tonumber(redis.call('HGET', tags, '*') or first.tag), first.tag))
  for _, class in ipairs(CLASSES) do
    if class == first.class or compete and not held_up[class] then
      local field = class .. ':' .. first.tenant
      local tag = first.tag + stride - moved_on(where, class)
      if class ~= first.class then
        local own = redis.call('ZSCORE', where.waiting .. class, first.tenant) or redis.call('HGET', tags, field)
        tag = math.max(tag, tonumber(own or tag))
      end
      redis.call('HSET', tags, field, tag)
      redis.call('ZADD', where.waiting .. class, 'XX', tag, first.tenant)
    elseif held_up[class] and held_up[class] < first.tag then
      redis.call('HINCRBY', tags, class, first.tag - held_up[class])
    end
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
