"""Names in Redis's keys: whatever a name holds, its key is one plain word in one Cluster slot."""

from functools import lru_cache
from urllib.parse import quote, unquote

NAME_MAX_CHARS = 500


@lru_cache(maxsize=10_000)
def escaped(name: str) -> str:
    """Return *name* with all but letters, digits and `_.-~` percent-encoded (RFC 3986); `plain` reads it.

    Raises `ValueError` for an empty name or one of more than 500 characters.
    """
    if not 0 < len(name) <= NAME_MAX_CHARS:
        raise ValueError(f"A name has 1 to {NAME_MAX_CHARS} characters, not {len(name)}.")
    return quote(name, safe="", errors="surrogatepass")


def optional(name: str) -> str:
    """Return *name* escaped, behind a hyphen, or nothing if there is none: the two are never one key."""
    return f"-{escaped(name)}" if name else ""


def shown(name: str) -> str:
    """Return *name* as it may be written anywhere: lone surrogates, which no text may hold, become `?`."""
    return name.encode("utf-8", "replace").decode()


def plain(part: str) -> str:
    """Return the name of which `escaped` made *part*."""
    return unquote(part, errors="surrogatepass")
