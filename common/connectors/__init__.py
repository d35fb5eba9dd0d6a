"""How outside ticket systems are read: one small file for each API, and what they all must say about it."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
