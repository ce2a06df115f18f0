-- Make a month's ledger the sum of its usage: by definition it is nothing else.
-- KEYS[1] ledger and KEYS[2] usage of the month
-- Returns {field, what it was, what it is, ...} of every ledger entry that was wrong.
local sums = {held = 0, settled = 0, released = 0, ever = 0, admitted = 0}
local rows = redis.call('HGETALL', KEYS[2])
for i = 1, #rows, 2 do
  local day, column = string.match(rows[i], '^([^|]*)|.*|([^|]*)$')
  local amount = tonumber(rows[i + 1])
  if column ~= 'ever' and sums[column] then sums[column] = sums[column] + amount end
  if column == 'admitted' then sums['admitted:' .. day] = (sums['admitted:' .. day] or 0) + amount end
end
sums.ever = sums.held + sums.settled + sums.released
local booked = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do booked[fields[i]] = tonumber(fields[i + 1]) end
local wrong = {}
for field, sum in pairs(sums) do
  if (booked[field] or 0) ~= sum then
    redis.call('HSET', KEYS[1], field, string.format('%.0f', sum))
    for _, part in ipairs({field, string.format('%.0f', booked[field] or 0), string.format('%.0f', sum)}) do
      wrong[#wrong + 1] = part
    end
  end
end
return wrong
