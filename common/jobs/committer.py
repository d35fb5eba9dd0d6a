"""Group commit: records that wait in the same process share one journal write, and nobody waits for company."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from common.together import Together


@dataclass(frozen=True, eq=False)
class _Record:
    document: Mapping[str, Any]
    encoded: RawBSONDocument


class Committer:
    """Insert records with majority, together with those that other threads bring at the same time.

    After a group *committed* is called with its accepted documents, in the thread that committed, before that is
    answered; the others are answered meanwhile.
    """

    def __init__(
        self, collection: Collection[Any], committed: Callable[[Sequence[Mapping[str, Any]]], None]
    ) -> None:
        self._collection = collection
        self._together: Together[_Record, None] = Together(
            self._write, after=lambda group: committed([one.document for one in group])
        )

    def insert(self, document: Mapping[str, Any]) -> None:
        """Insert *document*; return when a majority has it in its journal.

        It is encoded here, so that a record that can't be encoded fails alone and delays nobody.
        Raises `bson.errors.InvalidDocument`, `OverflowError`, `DuplicateKeyError` for this record,
        `PyMongoError` if the outcome of its group is unknown or it was refused.
        """
        self._together(_Record(document, RawBSONDocument(bson.encode(document))))

    def _write(self, group: Sequence[_Record]) -> Sequence[BaseException | None]:
        try:
            if len(group) == 1:
                self._collection.insert_one(group[0].encoded)
            else:
                self._collection.insert_many([one.encoded for one in group], ordered=False)
        except BulkWriteError as error:
            return _blamed(len(group), error)
        return [None] * len(group)


def _blamed(count: int, error: BulkWriteError) -> Sequence[BaseException | None]:
    """Return the error of each record, or `None` for one that was written."""
    if error.details.get("writeConcernErrors"):
        # Inserted, but not known to be with a majority: nobody may be answered yes.
        return [error] * count
    found: list[BaseException | None] = [None] * count
    for fault in error.details["writeErrors"]:
        is_duplicate = fault["code"] == 11000  # noqa: PLR2004 (MongoDB's code)
        found[fault["index"]] = DuplicateKeyError(fault["errmsg"], fault["code"]) if is_duplicate else error
    return found
