-- A hundred durable jobs a request.
local job = '{"type":"bench","data":{"text":"' .. string.rep("x", 88) .. '"}}'
local jobs = {}
for i = 1, 100 do jobs[i] = job end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = "[" .. table.concat(jobs, ",") .. "]"
