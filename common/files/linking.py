"""What a batch makes of a room's links: decided purely, from what is there and what comes, in its order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.ids import new_id

NAMES_MAX = 100
"""Names that one content may have in a room."""


class Linking:
    """The links of a batch into one room: *fresh* ones by file, further *names* by link, and what is *told* of it.

    *links* are those that the room has, by file.
    """

    def __init__(self, room_id: str, links: Mapping[str, Mapping[str, Any]], *, by: str, at: datetime) -> None:
        self.room_id = room_id
        self.fresh: dict[str, dict[str, Any]] = {}
        self.names: dict[str, list[str]] = {}
        self.told: list[tuple[str, str]] = []
        self._links = links
        self._have = {file_id: list(one["names"]) for file_id, one in links.items()}
        self._by = by
        self._at = at

    def add(self, file_id: str, name: str) -> bool:
        """Link a file under *name*; tell whether it bears that name here now. It may have `NAMES_MAX` of them."""
        if file_id not in self._have:
            self._have[file_id] = [name]
            self.fresh[file_id] = self._link(file_id, self._have[file_id])
            self.told.append((file_id, name))
            return True
        names = self._have[file_id]
        if name in names:
            return True
        if len(names) >= NAMES_MAX:
            return False
        names.append(name)
        self.told.append((file_id, name))
        if file_id in self._links:
            self.names.setdefault(self._links[file_id]["_id"], []).append(name)
        return True

    def _link(self, file_id: str, names: list[str]) -> dict[str, Any]:
        return {
            "_id": new_id(),
            "room_id": self.room_id,
            "file_id": file_id,
            "names": names,
            "added_by": self._by,
            "added_at": self._at,
        }
