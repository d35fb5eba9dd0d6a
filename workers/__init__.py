"""Celery and the handlers: they do what was asked."""

from pkgutil import extend_path

# A folder elsewhere on the path may add families: adding a kind of job edits nothing here.
__path__ = extend_path(__path__, __name__)
