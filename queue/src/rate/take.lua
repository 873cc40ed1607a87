-- Counts one call under every rule, if every rule has room for it.
-- KEYS: one hash per rule, slice number -> calls.
-- ARGV: slices a window, then limit and slice length (microseconds) of each rule.
-- Returns: now (microseconds), 1 if allowed, and of each rule {calls before this one, first slice, last slice}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local slices = tonumber(ARGV[1])
local allowed, seen, current = 1, {}, {}

for i, key in ipairs(KEYS) do
  local limit, length = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local slice = math.floor(now / length)
  local used, first, last = 0, slice, 0
  local counts = redis.call('HGETALL', key)
  for j = 1, #counts, 2 do
    local at = tonumber(counts[j])
    if at < slice - slices then
      redis.call('HDEL', key, counts[j])
    else
      used = used + tonumber(counts[j + 1])
      first = math.min(first, at)
      last = math.max(last, at)
    end
  end
  if used >= limit then allowed = 0 end
  if used == 0 then last = slice end
  seen[i], current[i] = {used, first, last}, slice
end

if allowed == 1 then
  for i, key in ipairs(KEYS) do
    redis.call('HINCRBY', key, string.format('%.0f', current[i]), 1)
    redis.call('PEXPIRE', key, math.ceil(ARGV[2 * i + 1] * (slices + 2) / 1000))
    seen[i][3] = math.max(seen[i][3], current[i])
  end
end
return {now, allowed, seen}
