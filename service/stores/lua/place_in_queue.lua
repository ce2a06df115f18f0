-- How many submissions are before a waiting one, if nobody else comes: those of its tenant that came earlier, and those
-- of others whose turn is before its own.
-- KEYS[1] due:submit
-- ARGV[1] prediction id, ARGV[2] its tenant, ARGV[3] its class, ARGV[4] prefix of the queue, ARGV[5] of tenants
-- ARGV[6] most tenants to count
-- Returns the number, or -1 when it does not wait.
local where = {waiting = ARGV[4], due = KEYS[1]}
local at = redis.call('ZSCORE', waits_in(where, ARGV[3], ARGV[2]), ARGV[1])
if not at then return -1 end

-- A tenant's tags: a list of {tag, how many wait} for the classes in which it waits, the lower tag first.
local function tags_of(tenant)
  local found = {}
  for _, class in ipairs(CLASSES) do
    local tag = redis.call('ZSCORE', where.waiting .. class, tenant)
    if tag then
      found[#found + 1] = {tag + moved_on(where, class), redis.call('ZCARD', waits_in(where, class, tenant))}
    end
  end
  if found[2] and found[2][1] < found[1][1] then found = {found[2], found[1]} end
  return found
end

local before = 0
for _, class in ipairs(CLASSES) do
  local queue = waits_in(where, class, ARGV[2])
  before = before + redis.call('ZCOUNT', queue, '-inf', '(' .. at)
  for _, id in ipairs(redis.call('ZRANGE', queue, at, at, 'BYSCORE')) do
    if id < ARGV[1] then before = before + 1 end
  end
end
local turn = tags_of(ARGV[2])[1][1] + before * stride_of(ARGV[5] .. ARGV[2])
local counted = {[ARGV[2]] = true}
for _, class in ipairs(CLASSES) do
  local last = turn - moved_on(where, class)
  for _, tenant in ipairs(redis.call('ZRANGE', where.waiting .. class, '-inf', last, 'BYSCORE', 'LIMIT', 0, ARGV[6])) do
    if not counted[tenant] then
      counted[tenant] = true
      local stride, tag = stride_of(ARGV[5] .. tenant), -math.huge
      for _, part in ipairs(tags_of(tenant)) do
        tag = math.max(tag, part[1])
        local turns = math.floor((turn - tag) / stride) + 1
        if tenant > ARGV[2] and (turn - tag) % stride == 0 then turns = turns - 1 end
        before = before + math.max(0, math.min(turns, part[2]))
        tag = tag + part[2] * stride
      end
    end
  end
end
return before
