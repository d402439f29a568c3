-- Asks auth-ticket about a request. haproxy.cfg calls it and decides what happens then.
--
-- It sets txn.auth_ticket to the status of the answer, after everything else is in place. So whatever goes wrong in here,
-- an error of Lua included, leaves the variable unset, and haproxy.cfg lets nothing through.

-- Milliseconds. Longer than the timeouts of the section that this asks, which therefore decide.
local TIMEOUT = 5000

-- The ticket is in one of these. A header given twice is sent twice: that is for auth-ticket to refuse.
local TICKET = { "weixinauth", "authorization" }

local function values(headers, name)
    local list = {}
    for _, value in pairs(headers[name] or {}) do
        list[#list + 1] = value
    end
    return list
end

-- `dst` is an address in HAProxy's notation, `path` a route of auth-ticket.
local function ask(txn, dst, path)
    local request = txn.http:req_get_headers()
    local headers = {}
    for _, name in ipairs(TICKET) do
        local found = values(request, name)
        if #found > 0 then
            headers[name] = found
        end
    end

    local answer = core.httpclient():get({
        url = "http://auth-ticket" .. path,
        dst = dst,
        headers = headers,
        timeout = TIMEOUT,
    })
    if answer == nil or answer.status == nil then
        return
    end

    if answer.status == 200 then
        for name, found in pairs(answer.headers) do
            if name:sub(1, 7) == "x-auth-" then
                txn.http:req_set_header(name, found[0] or "")
            end
        end
    else
        local found = answer.headers["www-authenticate"]
        txn:set_var("txn.auth_ticket_body", answer.body or "")
        txn:set_var("txn.auth_ticket_challenge", found and found[0] or "")
    end
    txn:set_var("txn.auth_ticket", answer.status)
end

core.register_action("auth-ticket", { "http-req" }, ask, 2)
