-- Appends a batch, all of it or nothing. KEYS: log. ARGV: identity, epoch, and of each entry
-- its nonce and its payload.
if identity() ~= ARGV[1] or redis.call('EXISTS', KEYS[1]) == 0 then return 'FENCED' end
local epoch, sequence = string.match(last(), '^(%d+)-(%d+)$')
if epoch ~= ARGV[2] then return 'FENCED' end
sequence = tonumber(sequence)
for i = 3, #ARGV, 2 do
  sequence = sequence + 1
  redis.call('XADD', KEYS[1], 'NOMKSTREAM', epoch .. '-' .. string.format('%d', sequence), 'n', ARGV[i], 'p', ARGV[i + 1])
end
return 'OK'
