-- One call of a node: tells what it used and holds of some limits of a group, and is granted more. See docs/src/limits.md.
-- KEYS: the group, who wants, and a hash for each limit, all of one slot.
local group, wants = KEYS[1], KEYS[2]
local node, seq, acked, epoch = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local reclaim, grace, cursor = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local WANTED_MS, WANTED_MOST, STEP_MS, FORGET_MS, FIELDS = 5000, 64, 1000, 604800000, 14

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(number) return string.format('%.0f', number) end

-- `v` is a clock that no step of the machine's can move far: who is silent is measured by it.
local head = redis.call('HMGET', group, 'e', 'open', 's:' .. node, 'v', 'm')
local e, open, last = tonumber(head[1] or 0), tonumber(head[2] or 0), tonumber(head[3] or 0)
local v = tonumber(head[4] or 0) + math.min(math.max(now - tonumber(head[5] or now), 0), STEP_MS)

-- Something was lost: nothing is granted until all have told again what they hold.
if e == 0 or epoch > e or (epoch == e and last < acked) then
    e = math.max(e, epoch) + 1
    open = v + grace
    redis.call('HSET', group, 'e', text(e), 'open', text(open))
end
redis.call('HSET', group, 'v', text(v), 'm', text(now))
if epoch ~= e then return { 2, e, now } end
if seq <= last then return { 1, last } end
redis.call('HSET', group, 's:' .. node, text(seq), 'n:' .. node, text(v))

local seen, nodes = {}, 0
local all = redis.call('HGETALL', group)
for i = 1, #all, 2 do
    local who = string.match(all[i], '^n:(.+)$')
    if who then
        local silent = v - tonumber(all[i + 1])
        seen[who] = silent < reclaim
        if seen[who] then nodes = nodes + 1 end
        if silent > FORGET_MS then redis.call('HDEL', group, 'n:' .. who, 's:' .. who) end
    end
end

local out = { 0, e, now, nodes, math.max(0, open - v) }
for i = 3, #KEYS do
    local key, at = KEYS[i], 8 + (i - 3) * FIELDS
    local name, kind, exact = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1'
    local most, amount, per, tick = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    local ttl, n, was, claim = ARGV[at + 7], tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    local rest, want, need = tonumber(ARGV[at + 11]), tonumber(ARGV[at + 12]), tonumber(ARGV[at + 13])

    local h, flat = {}, redis.call('HGETALL', key)
    for j = 1, #flat, 2 do h[flat[j]] = flat[j + 1] end
    local used, known = tonumber(h.u or 0), tonumber(h.c or 0)
    local carry, since = tonumber(h.f or 0), tonumber(h.m or now)

    -- What flows off, exactly: in whole periods, and of the rest in numbers below 2^53.
    if kind == 'r' then
        local ticks = math.floor(math.max(now - since, 0) / tick)
        local periods = math.floor(ticks / per)
        local part = (ticks - periods * per)
        local by = math.floor(amount / per)
        local numerator = part * (amount - by * per) + carry
        local flowed = periods * amount + part * by + math.floor(numerator / per)
        carry = numerator % per
        if now < since then since = now else since = since + ticks * tick end
        used, known = math.max(0, used - flowed), math.max(0, known - flowed)
    end

    local gone = {}
    if tonumber(h.e or 0) ~= e then
        known = used
        for field in pairs(h) do
            if string.match(field, '^n:') or (kind == 'k' and string.match(field, '^r:')) then gone[field] = true end
        end
        if kind == 'k' then used, known = 0, 0 end
    end
    local before = not gone['n:' .. node] and h['n:' .. node]
    if before then
        used = used + n - tonumber(before)
    else
        -- What the store once knew counts once, as whoever heard of it last remembers it.
        if claim > known then
            used = used + claim - known
            known = claim
        end
        used = used + n - was
    end
    used = math.max(0, used)

    local leased = 0
    for field, value in pairs(h) do
        local who = string.match(field, '^r:(.+)$')
        if who and who ~= node and not gone[field] then
            if seen[who] or open > v or (kind == 'c' and exact) then
                leased = leased + tonumber(value)
            else
                if kind == 'r' then used = used + tonumber(value) end
                if kind == 'k' then used = math.max(0, used - tonumber(h['n:' .. who] or 0)) end
                gone[field], gone['n:' .. who] = true, true
            end
        end
    end

    local pool, granted, starved = most - used - leased - rest, 0, 0
    if open <= v then
        if need > pool then
            if need > 0 then
                starved = 1
                redis.call('ZADD', wants, text(now), name)
            end
        else
            granted = math.max(0, math.min(pool, math.max(need, math.min(want, math.max(1, math.floor(pool / (2 * nodes)))))))
        end
    end
    for field in pairs(gone) do
        if h[field] then redis.call('HDEL', key, field) end
    end
    redis.call('HSET', key, 'e', text(e), 'u', text(used), 'c', text(known), 'f', text(carry), 'm', text(since),
        'n:' .. node, text(n), 'r:' .. node, text(rest + granted))
    redis.call('PEXPIRE', key, ttl)
    out[#out + 1] = granted
    out[#out + 1] = used
    out[#out + 1] = math.max(0, pool - granted)
    out[#out + 1] = starved
end

redis.call('ZREMRANGEBYSCORE', wants, '-inf', text(now - WANTED_MS))
redis.call('PEXPIRE', wants, 2 * WANTED_MS)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', wants, text(cursor), '+inf', 'LIMIT', 0, WANTED_MOST)) do
    out[#out + 1] = name
end
return out
