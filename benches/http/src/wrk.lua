-- What wrk sends, and how it tells the result: one line of JSON, the last of its output.

wrk.method = os.getenv("BENCH_METHOD")
wrk.body = os.getenv("BENCH_BODY")

-- A `$N` in the body becomes a number, another one in each request. Otherwise wrk sends the same bytes each time.
if wrk.body and wrk.body:find("$N", 1, true) then
    local body, number = wrk.body, 0
    request = function()
        number = number + 1
        return wrk.format(nil, nil, nil, (body:gsub("%$N", number)))
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"failures":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
