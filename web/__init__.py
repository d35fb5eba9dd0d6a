"""The HTTP API: it writes down what is asked and answers at once."""

from pkgutil import extend_path

# A folder elsewhere on the path may add families: adding a kind of job edits nothing here.
__path__ = extend_path(__path__, __name__)
