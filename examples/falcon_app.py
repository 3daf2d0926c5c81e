"""A web service with Falcon: a resource with two methods and a streamed file.

funicorn falcon_app:app

curl http://127.0.0.1:8000/hola
curl -H 'Content-Type: application/json' -d '{"name": "Funicorn"}' http://127.0.0.1:8000/hola
curl http://127.0.0.1:8000/source
"""

import falcon


class Hello:
    def on_get(self, request, response):
        response.content_type = falcon.MEDIA_TEXT
        response.text = "Hello World"

    def on_post(self, request, response):
        response.media = request.get_media()


class Source:
    """This file; Falcon hands an open file to the server's `wsgi.file_wrapper`."""

    def on_get(self, request, response):
        response.content_type = falcon.MEDIA_TEXT
        response.stream = open(__file__, "rb")


app = falcon.App()
app.add_route("/hola", Hello())
app.add_route("/source", Source())
