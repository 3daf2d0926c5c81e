-- A POST with a body of as many bytes as the script's argument says: wrk -s body.lua URL -- BYTES
function init(arguments)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(arguments[1]))
end
