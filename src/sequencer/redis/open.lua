-- Opens an epoch. KEYS: log, snapshot, the one before. ARGV: known epoch, new epoch, nonce,
-- the caller's last id and its nonce, the caller's state or nothing, and the last id of a log
-- that can't be read through, which goes, or nothing.
if ARGV[7] ~= '' and redis.call('EXISTS', KEYS[1]) == 1 and last() == ARGV[7] then redis.call('DEL', KEYS[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 then
  local at = last()
  local epoch = tonumber(string.match(at, '^(%d+)'))
  if epoch > tonumber(ARGV[1]) or epoch >= tonumber(ARGV[2]) then return 'BEHIND' end
  redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'n', ARGV[3], 'open', identity(), 'before', at, 'bn', nonce_of(at))
  return 'OK'
end
if ARGV[6] == '' then return 'EMPTY' end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[2], 'at', ARGV[4], 'n', ARGV[5], 'state', ARGV[6])
redis.call('XADD', KEYS[1], ARGV[2] .. '-0', 'n', ARGV[3], 'open', identity(), 'before', ARGV[4], 'bn', ARGV[5])
return 'OK'
