-- For load.py: so many of a hundred requests ask for a profile; how long each kind took
-- is noted apart. One connection for each of wrk's threads, so that what comes back
-- belongs to what was sent last.
--
--     wrk -t N -c N ... -s load.lua URL -- SHARE PROFILED_QUERY

local ffi = require("ffi")
ffi.cdef [[
struct flame_time { long sec; long nsec; };
int clock_gettime(int clock, struct flame_time *now);
]]

local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

local at = ffi.new("struct flame_time")

local function now_ms()
  ffi.C.clock_gettime(1, at) -- CLOCK_MONOTONIC
  return tonumber(at.sec) * 1e3 + tonumber(at.nsec) / 1e6
end

function init(arguments)
  share, query = tonumber(arguments[1]), arguments[2]
  math.randomseed(number)
  others, profiled, failed, why = {}, {}, 0, ""
end

function request()
  asks = math.random() * 100 < share
  begun = now_ms()
  return wrk.format("GET", asks and wrk.path .. "?" .. query or wrk.path)
end

local function is_good(status, headers, body)
  if status ~= 200 then
    return false
  end
  if asks and headers["X-Flameprof-Status"] then
    return body:sub(-7):find("</svg>", 1, true) ~= nil
  end
  return #body > 0
end

function response(status, headers, body)
  local took = now_ms() - begun
  if not is_good(status, headers, body) then
    failed, why = failed + 1, status .. " " .. body:sub(1, 100)
  elseif asks then
    profiled[#profiled + 1] = took
  else
    others[#others + 1] = took
  end
end

local function gather(name)
  local all = {}
  for _, thread in ipairs(threads) do
    for _, took in ipairs(thread:get(name)) do
      all[#all + 1] = took
    end
  end
  table.sort(all)
  return all
end

local function tell(name, all)
  local function quantile(part)
    return all[math.max(1, math.ceil(part * #all))] or 0
  end
  print(("load %s %d %.4f %.4f"):format(name, #all, quantile(0.5), quantile(0.99)))
end

function done(summary)
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.timeout
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("failed")
    if thread:get("failed") > 0 then
      print("load why " .. thread:get("why"))
    end
  end
  tell("others", gather("others"))
  tell("profiled", gather("profiled"))
  print(("load failed %d 0 0"):format(wrong))
end
