"""What the families of operations share: a request that starts something, and a list page by page."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from fairway.transport import Transport, new_key

T = TypeVar("T")
PAGE = 200


class Calls:
    """A family of operations, asked through one transport."""

    _transport: Transport

    def _start(
        self, path: str, key: str | None, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key if key is not None else new_key(), **(headers or {})}
        found: dict[str, Any] = self._transport.ask("POST", path, headers=headers, **body).json()
        return found

    def _pages(self, path: str, read: Callable[[Mapping[str, Any]], T], **query: Any) -> Iterator[T]:
        cursor: str | None = None
        while True:
            asked = {**query, "limit": PAGE, "cursor": cursor}
            page = self._transport.ask("GET", path, query=asked).json()
            yield from map(read, page["items"])
            if (cursor := page["next_cursor"]) is None:
                return
