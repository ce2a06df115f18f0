-- Count registered endpoints by their state.
-- KEYS the endpoints of some tenants (hashes)
-- Returns {enabled, disabled}.
local all, disabled = 0, 0
for _, key in ipairs(KEYS) do
  for _, endpoint in ipairs(redis.call('HVALS', key)) do
    all = all + 1
    -- As it is written; within a description its quotation marks would be escaped.
    if string.find(endpoint, '"state":"disabled"', 1, true) then disabled = disabled + 1 end
  end
end
return {all - disabled, disabled}
