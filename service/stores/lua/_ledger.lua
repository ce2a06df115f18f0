-- Put before every script: the one way money and counts move. Each booking goes to the ledger of the month and to the
-- usage of the day of the admission and of what its model is booked as, whenever it happens; `moves:DAY` tells a reader that something changed.
-- `columns` is a list {column, amount, ...}; held, settled, released and ever are micro-dollars.
local IN_LEDGER = {held = true, settled = true, released = true, ever = true, admitted = true}
local function row_of(model, booked_as)
  return booked_as and booked_as ~= '' and booked_as or model
end
local function book(ledger, usage, day, model, columns)
  for i = 1, #columns, 2 do
    local column, amount = columns[i], columns[i + 1]
    if IN_LEDGER[column] then redis.call('HINCRBY', ledger, column, amount) end
    if column == 'admitted' then redis.call('HINCRBY', ledger, 'admitted:' .. day, amount) end
    if column ~= 'ever' then redis.call('HINCRBY', usage, day .. '|' .. model .. '|' .. column, amount) end
  end
  redis.call('HINCRBY', ledger, 'moves:' .. day, 1)
end
