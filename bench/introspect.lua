-- Drives POST /v1/api-keys/introspections with a random one of many keys (see data.sql).
-- Usage: wrk … -s introspect.lua URL -- KEYS SECRET
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(args)
  keys = tonumber(args[1])
  math.randomseed(os.time() * 1000 + number)
  -- Every key's text is as long, so the head never changes.
  local length = #'{"key":"key_"}' + 32 + 1 + 43
  head = "POST /v1/api-keys/introspections HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n" ..
    "Authorization: Bearer " .. args[2] .. "\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n"
  tail = string.rep("A", 31) .. '"}'
  inactive = 0
end

function request()
  local n = math.random(1, keys)
  return string.format('%s{"key":"key_0195%08x700080000000%08x_0000%08x%s', head, n, n, n, tail)
end

function response(status, headers, body)
  if not body:find('"active":true', 1, true) then inactive = inactive + 1 end
end

function done(summary, latency)
  local inactive = 0
  for _, thread in ipairs(threads) do inactive = inactive + thread:get("inactive") end
  print(string.format(
    '{"requests": %d, "duration_us": %d, "not_2xx": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, ' ..
    '"p50_us": %d, "p99_us": %d, "mean_us": %d, "inactive": %d}',
    summary.requests, summary.duration, summary.errors.status, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.timeout, latency:percentile(50), latency:percentile(99), latency.mean, inactive))
end
