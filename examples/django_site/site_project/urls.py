"""What is where: a greeting at the root, the admin site, and an upload that answers with what arrived."""

import hashlib

from django.contrib import admin
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def hello(request):
    return HttpResponse("Hello World", content_type="text/plain")


@csrf_exempt
def upload(request):
    """The length and SHA-256 of each uploaded file."""
    files = {name: file.read() for name, file in request.FILES.items()}
    return JsonResponse({name: [len(body), hashlib.sha256(body).hexdigest()] for name, body in files.items()})


urlpatterns = [
    path("", hello),
    path("upload", upload),
    path("admin/", admin.site.urls),
]
