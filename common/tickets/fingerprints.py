"""Which rows a file has shown before: a set on disk, so that memory stays flat however long the file is."""

import hashlib
import sqlite3
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Self

from common.tickets.ticket import Ticket

_DIGEST_BYTES = 16
_ASKED_AT_ONCE = 500
_CACHE_KIB = 8 * 1024


def fingerprint(row: Ticket) -> bytes:
    """Return what stands for a row's key and content together."""
    return hashlib.blake2b(f"{row.natural_key}\0{row.content_hash}".encode(), digest_size=_DIGEST_BYTES).digest()


class Fingerprints:
    """A set of fingerprints in a temporary file that is gone with the process (SQLite names and unlinks it)."""

    def __init__(self) -> None:
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
        """Put *prints* in; in order, because neighbours share a page."""
        self._database.execute("BEGIN")
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(item,) for item in sorted(prints)])
        self._database.execute("COMMIT")

    def among(self, prints: Iterable[bytes]) -> AbstractSet[bytes]:
        """Return those of *prints* that are in."""
        asked = list(prints)
        found: set[bytes] = set()
        for start in range(0, len(asked), _ASKED_AT_ONCE):
            some = asked[start : start + _ASKED_AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"SELECT print FROM seen WHERE print IN ({marks})", some)  # noqa: S608 (marks)
            found.update(row[0] for row in rows)
        return found
