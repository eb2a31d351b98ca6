-- One call of a node: tells what it used and holds of some limits of a group, and is granted more. See docs/src/limits.md.
-- KEYS: the group, who wants, and a hash for each limit, all of one slot.
local group, wants = KEYS[1], KEYS[2]
local node, seq, acked, epoch = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local reclaim, grace, cursor = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local is_whole, leaves, server, peers = ARGV[8] == '1', ARGV[9] == '1', ARGV[10], tonumber(ARGV[11])
local WANTED_MS, WANTED_MOST, STEP_MS, FORGET_MS, FIELDS = 5000, 64, 1000, 604800000, 19
local AGAIN_MS, MOST_PEERS, MOST_NAMED = 250, 256, 256

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function text(number) return string.format('%.0f', number) end

-- `v` is a clock that no step of the machine's can move far: who is silent is measured by it.
local head = redis.call('HMGET', group, 'e', 'open', 's:' .. node, 'v', 'm', 'late', 'server')
local e, open, last = tonumber(head[1] or 0), tonumber(head[2] or 0), tonumber(head[3] or 0)
local v = tonumber(head[4] or 0) + math.min(math.max(now - tonumber(head[5] or now), 0), STEP_MS)
local late = tonumber(head[6] or 0)

-- Something was lost, or may have been, as another server answers now: nothing is granted until all have told again what they
-- hold. Who is waited for: whoever was heard lately, by what is left here and by those who tell.
local answered = head[7] or ''
local has_moved = server ~= '' and answered ~= '' and answered ~= server
if e == 0 or epoch > e or (epoch == e and last < acked) or has_moved then
    -- With a number that no earlier one had, also where nobody remembers any: neither one that knows nothing, nor an older copy,
    -- which may have taken its place before.
    e = math.max(e, epoch, now) + 1
    open, late = v + grace, v + math.max(grace, reclaim)
    redis.call('HSET', group, 'e', text(e), 'open', text(open), 'late', text(late))
    local all = redis.call('HGETALL', group)
    for i = 1, #all, 2 do
        local who = string.match(all[i], '^n:(.+)$')
        if who and v - tonumber(all[i + 1]) < reclaim then redis.call('HSET', group, 'x:' .. who, text(e)) end
    end
end
redis.call('HSET', group, 'v', text(v), 'm', text(now), 'server', server ~= '' and server or answered)
if epoch ~= e then return { 2, e, now } end
if seq <= last then return { 1, last } end
-- Who leaves is as silent as who was not heard for long.
redis.call('HSET', group, 's:' .. node, text(seq), 'n:' .. node, text(leaves and v - reclaim or v))
for i = 1, peers do redis.call('HSET', group, 'x:' .. ARGV[11 + i], text(e)) end
if is_whole then redis.call('HSET', group, 'd:' .. node, text(e)) end

local seen, nodes, names, has_told, awaited = {}, 0, {}, {}, {}
local all = redis.call('HGETALL', group)
for i = 1, #all, 2 do
    local of, who = string.match(all[i], '^([ndx]):(.+)$')
    if of == 'n' then
        local silent = v - tonumber(all[i + 1])
        seen[who] = silent < reclaim
        if seen[who] then
            nodes = nodes + 1
            if nodes <= MOST_PEERS then names[nodes] = '@' .. who end
        end
        if silent > FORGET_MS then redis.call('HDEL', group, 'n:' .. who, 's:' .. who, 'd:' .. who) end
    elseif of == 'd' then
        has_told[who] = tonumber(all[i + 1]) == e
    elseif of == 'x' then
        if tonumber(all[i + 1]) == e then awaited[#awaited + 1] = who else redis.call('HDEL', group, all[i]) end
    end
end
local closed = math.max(0, open - v)
for _, who in ipairs(awaited) do
    if not has_told[who] and v < late then closed = math.max(closed, AGAIN_MS) end
end
local is_open = closed == 0

local out = { 0, e, now, nodes, closed }
for i = 3, #KEYS do
    local key, at = KEYS[i], 12 + peers + (i - 3) * FIELDS
    local name, kind, exact = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1'
    local most, amount, per, tick = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    local ttl, n, was, claim = ARGV[at + 7], tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
    local rest, want, need = tonumber(ARGV[at + 11]), tonumber(ARGV[at + 12]), tonumber(ARGV[at + 13])
    local heard, version, apart = tonumber(ARGV[at + 14]), tonumber(ARGV[at + 15]), tonumber(ARGV[at + 16])
    local named, asks = ARGV[at + 17], ARGV[at + 18] == '1'

    -- Of a node each: what it said that it used in this epoch (`n`), of a calendar what is known of one that has not said yet
    -- (`h`) or what it had heard that others used (`q`), and what it holds (`r`).
    local h, flat, changed = {}, redis.call('HGETALL', key), {}
    local nodes_of = { n = {}, h = {}, q = {}, r = {} }
    for j = 1, #flat, 2 do
        -- The other fields have names of one letter.
        local of_node = nodes_of[string.sub(flat[j], 1, 1)]
        if of_node and #flat[j] > 2 then
            of_node[string.sub(flat[j], 3)] = tonumber(flat[j + 1])
        else
            h[flat[j]] = flat[j + 1]
        end
    end
    local said, known_of, others_of, rests = nodes_of.n, nodes_of.h, nodes_of.q, nodes_of.r
    local function set(letter, who, value)
        nodes_of[letter][who] = value
        changed[letter .. ':' .. who] = value or false
    end
    local function clear(letter)
        for who in pairs(nodes_of[letter]) do set(letter, who, nil) end
    end
    local function sum()
        local all = 0
        for _, value in pairs(said) do all = all + value end
        for _, value in pairs(known_of) do all = all + value end
        return all
    end

    local used, known = tonumber(h.u or 0), tonumber(h.c or 0)
    local carry, since = tonumber(h.f or 0), tonumber(h.m or now)
    -- Of a calendar: the epoch and number of what is known here of those who have not told since, the epoch in which nobody told
    -- more of others than a sum, and the one in which somebody did.
    local of, number, sums, accounts = tonumber(h.t or 0), tonumber(h.x or 0), tonumber(h.s or 0), tonumber(h.y or 0)

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
        -- Of a full bucket nothing is to come: what is used next flows from then on.
        if used == 0 then carry, since = 0, now end
    end

    -- Beside those whose names are here: used by nodes that nobody can name.
    local beside = math.max(0, used - sum())
    if tonumber(h.e or 0) ~= e then
        known = used
        for who, value in pairs(said) do
            if kind == 'c' then set('h', who, value) end
        end
        clear('n')
        if kind == 'k' then
            clear('r')
            used, known = 0, 0
        end
    end
    local before = said[node]
    if kind == 'c' then
        if heard > 0 then accounts = e end
        if heard > of or (heard == of and version > number) then
            -- It was heard when all had told, and later than what is known here: that was in it.
            clear('h')
            for who, value in string.gmatch(named, '(%x+)=(%d+)') do
                if who ~= node and not said[who] then set('h', who, tonumber(value)) end
            end
            of, number, beside = heard, version, apart
        elseif claim > 0 then
            set('q', node, math.max(0, claim - was))
        end
        -- Who comes when it is open, and is not known by name, had told when others had.
        if is_open and not before and not known_of[node] then beside = math.max(0, beside - was) end
        if known_of[node] then set('h', node, nil) end
    elseif before then
        used = math.max(0, used + n - before)
    elseif claim == 0 then
        used = math.max(0, used + n - was)
    else
        -- What the store once knew counts once, as whoever heard most of it remembers it; and what came back since not at all:
        -- it may be known already.
        if claim > known then
            used = used + claim - known
            known = claim
        end
        used = used + math.max(0, n - was)
    end
    set('n', node, n)
    if kind == 'c' then
        used = beside + sum()
        if is_open then
            -- An older copy that takes the store's place knows less than they had heard.
            if of ~= e and accounts ~= e then sums = e end
            for who, others in pairs(others_of) do
                -- Where all crashed nobody may know who had told: it is no less than the sum that one of them had heard.
                if sums == e then used = math.max(used, others + (said[who] or known_of[who] or 0)) end
            end
            clear('q')
            of, number = e, number + 1
        end
    end

    local leased = 0
    for who, value in pairs(rests) do
        if who ~= node then
            if seen[who] or not is_open or (kind == 'c' and exact and value > 0) then
                leased = leased + value
            else
                if kind == 'r' then used = used + value end
                if kind == 'k' then used = math.max(0, used - (said[who] or 0)) end
                set('r', who, nil)
                -- What it used of a calendar stays its own, should it come back.
                if kind ~= 'c' then set('n', who, nil) end
            end
        end
    end

    if kind == 'c' and is_open then
        local count = 0
        for _, all in ipairs({ said, known_of }) do for _ in pairs(all) do count = count + 1 end end
        for _, letter in ipairs({ 'n', 'h' }) do
            for who in pairs(nodes_of[letter]) do
                -- Of very many those that were not heard for long are not known by name any more: it is in `used`.
                if count > MOST_NAMED and seen[who] == nil then set(letter, who, nil) end
            end
        end
    end

    local pool, granted, starved = most - used - leased - rest, 0, 0
    local lacks = h.l or ''
    if is_open then
        if need > pool then
            if need > 0 then
                starved, lacks = 1, node
                redis.call('ZADD', wants, text(now), name)
            end
        else
            -- No more than half of it for one, and where another lacked it of late no more than a part of half.
            local share = math.floor(pool / 2)
            if want > pool / (2 * nodes) and lacks ~= node and redis.call('ZSCORE', wants, name) then
                share = math.floor(pool / (2 * math.max(1, nodes)))
            end
            granted = math.max(0, math.min(pool, math.max(need, math.min(want, math.max(1, share)))))
        end
    end
    set('r', node, rest + granted)
    for field, value in pairs(changed) do
        if value then redis.call('HSET', key, field, text(value)) else redis.call('HDEL', key, field) end
    end
    redis.call('HSET', key, 'e', text(e), 'u', text(used), 'c', text(known), 'f', text(carry), 'm', text(since),
        't', text(of), 'x', text(number), 's', text(sums), 'y', text(accounts), 'l', lacks)
    redis.call('PEXPIRE', key, ttl)
    local told = {}
    local function tell(all, is_seen)
        for who, value in pairs(all) do
            if who ~= node and (seen[who] or false) == is_seen and #told < MOST_NAMED then
                told[#told + 1] = who .. '=' .. text(value)
            end
        end
    end
    if kind == 'c' and is_open and asks then
        -- Who is there first: they are to tell again.
        for _, is_seen in ipairs({ true, false }) do
            tell(said, is_seen)
            tell(known_of, is_seen)
        end
    end
    out[#out + 1] = granted
    out[#out + 1] = used
    out[#out + 1] = math.max(0, pool - granted)
    out[#out + 1] = starved
    out[#out + 1] = number
    out[#out + 1] = table.concat(told, ' ')
end
for _, name in ipairs(names) do out[#out + 1] = name end

-- Also what a clock that was ahead left.
redis.call('ZREMRANGEBYSCORE', wants, '-inf', text(now - WANTED_MS))
redis.call('ZREMRANGEBYSCORE', wants, '(' .. text(now), '+inf')
redis.call('PEXPIRE', wants, 2 * WANTED_MS)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', wants, text(cursor), '+inf', 'LIMIT', 0, WANTED_MOST)) do
    out[#out + 1] = name
end
return out
