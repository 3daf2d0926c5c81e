"""A web service with Flask: one route, two methods.

funicorn flask_app:app

curl http://127.0.0.1:8000/hola
curl -H 'Content-Type: application/json' -d '{"name": "Funicorn"}' http://127.0.0.1:8000/hola
"""

from flask import Flask, request

app = Flask(__name__)


@app.get("/hola")
def hello():
    return "Hello World"


@app.post("/hola")
def echo():
    return request.get_json()
