-- The requests of browser.lua, each with another Referer: lines that a server has not just seen.
dofile("browser.lua")
local requests, turn = {}, 0
init = function()
  for page = 1, 1000 do
    wrk.headers["Referer"] = "http://127.0.0.1/previous/page?with=" .. page
    requests[page] = wrk.format()
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
