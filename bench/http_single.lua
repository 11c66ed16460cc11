-- One durable job a request.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"type":"bench","data":{"text":"' .. string.rep("x", 88) .. '"}}'
