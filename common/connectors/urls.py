"""The URLs that a connector asks, and where a next page may be: on the host of the source, and nowhere else."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from common.errors import AnswerRefused

_MAX_CHARS = 8_192
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_PORTS = {"http": 80, "https": 443}
_PATH_SIGNS = "/%!$&'()*+,;=:@~"
_QUERY_SIGNS = f"{_PATH_SIGNS}?"


def at(base_url: str, path: str, query: Iterable[tuple[str, object]] = ()) -> str:
    """Return the URL of *path* below *base_url*; what the base asks for stays."""
    base = urlsplit(base_url)
    asked = [*parse_qsl(base.query, keep_blank_values=True), *query]
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + path or "/", urlencode(asked), ""))


def with_parameter(url: str, name: str, value: object) -> str:
    """Return *url* with its parameter *name* set to *value*."""
    parts = urlsplit(url)
    others = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*others, (name, value)])))


def parameter(url: str, name: str) -> str | None:
    """Return what *url* gives its parameter *name*."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).get(name)


def next_page(found: object, *, asked_url: str, base_url: str) -> str:
    """Return the absolute URL of the page that an answer names, relative or not.

    Scheme and host are written anew from *base_url*, so that nothing in what was *found* can lead elsewhere. A
    host that says http of itself, behind its own https, is not held to it. Raises `AnswerRefused`.
    """
    if not isinstance(found, str) or len(found) > _MAX_CHARS or _CONTROL.search(found):
        raise AnswerRefused("The source names a next page that is no URL.")
    try:
        base, target = urlsplit(base_url), urlsplit(urljoin(asked_url, found.strip()))
        is_there = _is_same_host(base, target)
    except ValueError as error:
        raise AnswerRefused("The source names a next page that is no URL.") from error
    if not is_there:
        raise AnswerRefused("The source names a next page that is not on its own host.")
    path, query = quote(target.path, safe=_PATH_SIGNS) or "/", quote(target.query, safe=_QUERY_SIGNS)
    return urlunsplit((base.scheme, base.netloc, path, query, ""))


def with_cursor(asked_url: str, name: str, cursor: object) -> str | None:
    """Return *asked_url* with its parameter *name* set to the *cursor* that an answer gives; `None` without one.

    Raises `AnswerRefused` if it is neither a text nor a whole number.
    """
    if cursor is None or cursor is False or cursor == "":
        return None
    if type(cursor) is not int and not isinstance(cursor, str):
        raise AnswerRefused("The source gives a cursor that is neither a text nor a whole number.")
    following = with_parameter(asked_url, name, cursor)
    if len(following) > _MAX_CHARS:
        raise AnswerRefused("The source gives a cursor that is too long.")
    return following


def _is_same_host(base: SplitResult, target: SplitResult) -> bool:
    if target.scheme not in _PORTS or target.username is not None or target.hostname != base.hostname:
        return False
    ports = base.port or _PORTS.get(base.scheme), target.port or _PORTS[target.scheme]
    return ports[0] == ports[1] or ports == (_PORTS["https"], _PORTS["http"])
