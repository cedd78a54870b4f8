-- Stores a snapshot. KEYS: log, snapshot, the one before. ARGV: the id that it is of, its
-- nonce, the state.
local function after(one, other)
  local a, b = string.match(one, '(%d+)-(%d+)')
  local c, d = string.match(other, '(%d+)-(%d+)')
  return tonumber(a) > tonumber(c) or (a == c and tonumber(b) > tonumber(d))
end
if redis.call('EXISTS', KEYS[1]) == 0 or nonce_of(ARGV[1]) ~= ARGV[2] then return 'FOREIGN' end
local at = redis.call('HGET', KEYS[2], 'at')
if at and not after(ARGV[1], at) then return 'OLDER' end
if at then redis.call('RENAME', KEYS[2], KEYS[3]) end
redis.call('HSET', KEYS[2], 'at', ARGV[1], 'n', ARGV[2], 'state', ARGV[3])
if at then redis.call('XTRIM', KEYS[1], 'MINID', at) end
return 'OK'
