"""Which rows a file has shown before: a set that spills to disk, so that memory stays flat however long it is."""

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Self

from common.tickets.ticket import Ticket

HELD_MAX = 100_000
_DIGEST_BYTES = 16
_ASKED_AT_ONCE = 500
_CACHE_KIB = 8 * 1024


def fingerprint(row: Ticket) -> bytes:
    """Return what stands for a row's key and content together."""
    return hashlib.blake2b(f"{row.natural_key}\0{row.content_hash}".encode(), digest_size=_DIGEST_BYTES).digest()


class Fingerprints:
    """A set of fingerprints: in memory up to some 10 MB, the rest in a temporary file.

    SQLite names and unlinks the file, so that it is gone with the process. *held_max* is how many stay in memory.
    """

    def __init__(self, held_max: int = HELD_MAX) -> None:
        self._held: set[bytes] = set()
        self._held_max = held_max
        self._has_spilled = False
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("CREATE TABLE seen (print BLOB PRIMARY KEY) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, prints: Iterable[bytes]) -> None:
        """Put *prints* in."""
        self._held.update(prints)
        if len(self._held) > self._held_max:
            self._spill()

    def among(self, prints: Iterable[bytes]) -> AbstractSet[bytes]:
        """Return those of *prints* that are in."""
        asked = set(prints)
        found = asked & self._held
        return found | self._spilled(list(asked - found)) if self._has_spilled else found

    def _spill(self) -> None:
        """Put what is held into the file; in order, because neighbours share a page."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?)", [(item,) for item in sorted(self._held)]
        )
        self._database.execute("COMMIT")
        self._held.clear()
        self._has_spilled = True

    def _spilled(self, asked: Sequence[bytes]) -> AbstractSet[bytes]:
        found: set[bytes] = set()
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            some = asked[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"SELECT print FROM seen WHERE print IN ({marks})", some)  # noqa: S608 (marks)
            found.update(row[0] for row in rows)
        return found
