"""The site as a WSGI application.

    cd examples/django_site
    python -m pip install django whitenoise
    python manage.py migrate && python manage.py collectstatic && python manage.py createsuperuser
    funicorn site_project.wsgi

Then open http://127.0.0.1:8000/admin/.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_project.settings")
application = get_wsgi_application()
