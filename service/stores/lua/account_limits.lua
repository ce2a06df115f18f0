-- The account's limits in force, and how much of each is used.
-- KEYS[1] the account, KEYS[2] open predictions, KEYS[3] starts of videos, KEYS[4] starts of images
-- ARGV[1] now in ms, or "" for the server's clock
-- ARGV[2] the account's concurrency, ARGV[3] its videos and ARGV[4] its images a minute, each "" for no limit
-- Returns {now, {limit in force or -1, used}, ...} for concurrency, videos and images.
local now = now_ms(ARGV[1])
local account = read_account(KEYS[1])
local answer = {now}
for i, name in ipairs({'concurrency', 'video', 'image'}) do
  local most = allowed(ARGV[i + 1], account[name][1], account[name][2], now)
  local used
  if name == 'concurrency' then
    used = redis.call('ZCARD', KEYS[2])
  else
    used = redis.call('ZCOUNT', KEYS[i + 1], now - MINUTE_MS, '+inf')
  end
  answer[i + 1] = {most or -1, used}
end
return answer
