-- Makes room: the log goes back to the newest snapshot only. KEYS: log, snapshot, the one
-- before.
local at = redis.call('HGET', KEYS[2], 'at')
if not at or redis.call('EXISTS', KEYS[1]) == 0 then return 'NONE' end
redis.call('DEL', KEYS[3])
redis.call('XTRIM', KEYS[1], 'MINID', at)
return 'OK'
