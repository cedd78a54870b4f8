local function field(section, key) return string.match(redis.call('INFO', section), key .. ':(%w+)') end
local function identity() return field('server', 'run_id') .. field('replication', 'master_replid') end
local function last()
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return info[i + 1] end end
end
local function nonce_of(at)
  local found = redis.call('XRANGE', KEYS[1], at, at)
  return found[1] and found[1][2][2] or ''
end
