"""Which page the header `Link` names as the next one (RFC 8288)."""

import re
from collections.abc import Mapping

from common.connectors import urls
from common.errors import SourceIll

_MAX_CHARS = 16_384
_SEPARATORS = re.compile(r"[ \t,]*")
_TARGET = re.compile(r"<([^<>]*)>")
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_NAME})(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?)?')


def next_page(headers: Mapping[str, str], *, asked_url: str, base_url: str) -> str | None:
    """Return the absolute URL of the next page, if there is one. Raises `SourceIll`, `AnswerRefused`."""
    try:
        target = next_link(headers.get("link", ""))
    except ValueError as error:
        raise SourceIll(f"The source's header Link can't be read: {error}.") from error
    return None if target is None else urls.next_page(target, asked_url=asked_url, base_url=base_url)


def next_link(header: str) -> str | None:
    """Return the target of the first link whose relation is `next`, as it is written; `None` if there is none.

    A header that can't be read raises `ValueError`: taken for none, it would end a list too early.
    """
    if len(header) > _MAX_CHARS:
        raise ValueError("longer than any list of links")
    at = _end(_SEPARATORS, header, 0)
    while at < len(header):
        found = _TARGET.match(header, at)
        if not found:
            raise ValueError("no link where one must begin")
        parameters, at = _parameters(header, found.end())
        if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
            return found[1].strip()
        at = _next_link_begins(header, at)
    return None


def _parameters(header: str, at: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    while found := _PARAMETER.match(header, at):
        at = found.end()
        if found[1]:
            # The first counts where one is repeated, as the RFC has it for `rel`.
            parameters.setdefault(found[1].lower(), found[2] if found[2] is not None else found[3] or "")
    return parameters, at


def _next_link_begins(header: str, at: int) -> int:
    end = _end(_SEPARATORS, header, at)
    if end < len(header) and "," not in header[at:end]:
        raise ValueError("something other than a parameter after a link")
    return end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
