"""A web service with Bottle: two methods on one route, and a static file.

funicorn bottle_app:app

curl http://127.0.0.1:8000/hola
curl -H 'Content-Type: application/json' -d '{"name": "Funicorn"}' http://127.0.0.1:8000/hola
curl -i http://127.0.0.1:8000/source
"""

from pathlib import Path

import bottle

app = bottle.Bottle()


@app.get("/hola")
def hello():
    return "Hello World"


@app.post("/hola")
def echo():
    return bottle.request.json


@app.get("/source")
def source():
    """This file, with `Last-Modified`, ranges and `304 Not Modified`."""
    here = Path(__file__)
    return bottle.static_file(here.name, root=here.parent, mimetype="text/plain")
