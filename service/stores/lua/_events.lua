-- Put before every script: the log of a tenant's events, in the order they happened; the entry's id is the cursor.
local function log_event(log, most, lifetime, ...)
  redis.call('XADD', log, 'MAXLEN', '~', most, '*', ...)
  redis.call('PEXPIRE', log, lifetime)
end
