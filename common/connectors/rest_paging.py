"""Where the next page of a `rest` source is, in each of the ways that its settings can name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.connectors import link_header, urls
from common.connectors.pointers import is_stated, reader
from common.connectors.rest_settings import ByCursor, ByLink, ByOffset, ByPage
from common.errors import SourceIll

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True)
class Answered:
    """One answer, as far as it says where the next page is. *total* is the source's own, if it gives one."""

    asked_url: str
    headers: Mapping[str, str]
    answer: Any
    count: int
    total: int | None


def next_page(
    paging: ByPage | ByOffset | ByCursor | ByLink, found: Answered, *, base_url: str, page_size: int
) -> str | None:
    """Return the absolute URL of the page after *found*, `None` if it is the last. Raises as `Connector.page`."""
    match paging:
        case ByLink():
            return link_header.next_page(found.headers, asked_url=found.asked_url, base_url=base_url)
        case ByCursor():
            return _by_cursor(paging, found, base_url)
        case ByPage():
            number = _number(found.asked_url, paging)
            seen = (number - paging.first) * page_size + found.count
            following = number + 1
        case ByOffset():
            number = _number(found.asked_url, paging)
            seen = number - paging.first + found.count
            following = number + found.count
    if _has_ended(paging, found, seen=seen, page_size=page_size):
        return None
    return urls.with_parameter(found.asked_url, paging.parameter, following)


def _by_cursor(paging: ByCursor, found: Answered, base_url: str) -> str | None:
    if paging.more is not None and not _goes_on(reader(paging.more)(found.answer)):
        return None
    target = reader(paging.next)(found.answer)
    if target is None or target is False or target == "":
        _demand_end(paging, found.answer)
        return None
    if paging.parameter is not None:
        return urls.with_cursor(found.asked_url, paging.parameter, target)
    return urls.next_page(target, asked_url=found.asked_url, base_url=base_url)


def _demand_end(paging: ByCursor, answer: Any) -> None:
    """Raise `SourceIll` unless *answer*, which names no next page, says by that that there is none."""
    if paging.more is not None:
        raise SourceIll("The source says that there is a next page, but not which.")
    if paging.ends == "null" and not is_stated(paging.next, answer):
        raise SourceIll(f"The source's answer does not say whether there is a next page: it has no {paging.next}.")


def _goes_on(said: Any) -> bool:
    # Taken for a no, anything else would end the list too early.
    if type(said) is not bool:
        raise SourceIll("The source's answer does not say whether there is a next page.")
    return said


def _has_ended(paging: ByPage | ByOffset, found: Answered, *, seen: int, page_size: int) -> bool:
    if found.count == 0:
        return True
    if paging.ends == "total":
        if found.total is None:
            raise SourceIll("The source's answer does not say how many records there are.")
        return seen >= found.total
    return paging.ends == "short" and found.count < page_size


def _number(asked_url: str, paging: ByPage | ByOffset) -> int:
    text = urls.parameter(asked_url, paging.parameter) or ""
    return int(text) if _NUMBER.match(text) else paging.first
