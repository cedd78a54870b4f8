-- Who keeps the log, and how far it goes. KEYS: log.
local role = string.match(redis.call('INFO', 'replication'), 'role:(%w+)')
if redis.call('EXISTS', KEYS[1]) == 0 then return {identity(), role} end
local at = last()
return {identity(), role, at, nonce_of(at)}
