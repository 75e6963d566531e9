-- Drives GET /v1/sessions/current with a random one of many tokens (see data.sql), or any path without one.
-- Usage: wrk … -s verify.lua URL -- SESSIONS [PATH [count]]
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

-- Counting statuses costs the generator time, so only where they matter: a third argument "count".
local function count_status(status)
  if status == 200 then ok = ok + 1 elseif status == 503 then refused = refused + 1 else other = other + 1 end
end

function init(args)
  sessions = tonumber(args[1])
  path = args[2] or "/v1/sessions/current"
  math.randomseed(os.time() * 1000 + number)
  head = "GET " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
  tail = string.rep("A", 31) .. "\r\n\r\n"
  ok, refused, other = 0, 0, 0
  if args[3] == "count" then response = count_status end
end

function request()
  if sessions == 0 then return head .. "\r\n" end
  local n = math.random(1, sessions)
  return string.format("%sAuthorization: Bearer session_0194%08x700080000000%08x_0000%08x%s", head, n, n, n, tail)
end

function done(summary, latency)
  local status = { ok = 0, refused = 0, other = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(status) do status[name] = status[name] + thread:get(name) end
  end
  print(string.format(
    '{"requests": %d, "duration_us": %d, "not_2xx": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, ' ..
    '"p50_us": %d, "p90_us": %d, "p99_us": %d, "p999_us": %d, "max_us": %d, "mean_us": %d, ' ..
    '"status_200": %d, "status_503": %d, "status_other": %d}',
    summary.requests, summary.duration, summary.errors.status, summary.errors.connect, summary.errors.read,
    summary.errors.write, summary.errors.timeout, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9), latency.max, latency.mean, status.ok,
    status.refused, status.other))
end
