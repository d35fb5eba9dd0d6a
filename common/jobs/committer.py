"""Group commit: records that wait in the same process share one journal write, and nobody waits for company.

There is no committer thread: whoever finds nobody committing commits for all that wait by then.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

GROUP_MAX = 64


def _closed_gate() -> threading.Lock:
    """Return a lock that is held: who acquires it waits for its release. Cheaper than an event."""
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass(eq=False, slots=True)
class _Waiting:
    document: Mapping[str, Any]
    encoded: RawBSONDocument
    turn: threading.Lock = field(default_factory=_closed_gate)
    leads: bool = False
    error: BaseException | None = None


class Committer:
    """Insert records with majority, together with those that other threads bring at the same time.

    After a group *committed* is called with its accepted documents, in the thread that committed, before that is
    answered; the others are answered meanwhile.
    """

    def __init__(
        self, collection: Collection[Any], committed: Callable[[Sequence[Mapping[str, Any]]], None]
    ) -> None:
        self._collection = collection
        self._committed = committed
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_committing = False

    def insert(self, document: Mapping[str, Any]) -> None:
        """Insert *document*; return when a majority has it in its journal.

        It is encoded here, so that a record that can't be encoded fails alone and delays nobody.
        Raises `bson.errors.InvalidDocument`, `OverflowError`, `DuplicateKeyError` for this record,
        `PyMongoError` if the outcome of its group is unknown or it was refused.
        """
        mine = _Waiting(document, RawBSONDocument(bson.encode(document)))
        with self._lock:
            mine.leads = not self._is_committing
            self._is_committing = True
            if not mine.leads:
                self._waiting.append(mine)
        if not mine.leads:
            mine.turn.acquire()  # until a leader hands over the lead, or the answer
        if mine.leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error

    def _lead(self, leader: _Waiting) -> None:
        with self._lock:
            company = min(GROUP_MAX - 1, len(self._waiting))
            group = [leader, *(self._waiting.popleft() for _ in range(company))]
        try:
            self._write(group)
        finally:
            # Hand the lead on first, so that the next group sets out while this one is answered and admitted.
            self._hand_on()
            for one in group[1:]:
                one.turn.release()
        self._committed([one.document for one in group if one.error is None])

    def _hand_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._is_committing = False
                return
            heir = self._waiting.popleft()
        heir.leads = True
        heir.turn.release()

    def _write(self, group: Sequence[_Waiting]) -> None:
        try:
            if len(group) == 1:
                self._collection.insert_one(group[0].encoded)
            else:
                self._collection.insert_many([one.encoded for one in group], ordered=False)
        except BulkWriteError as error:
            _blame(group, error)
        except PyMongoError as error:
            for one in group:
                one.error = error


def _blame(group: Sequence[_Waiting], error: BulkWriteError) -> None:
    if error.details.get("writeConcernErrors"):
        for one in group:  # inserted, but not known to be with a majority: nobody may be answered yes
            one.error = error
        return
    for fault in error.details["writeErrors"]:
        kind = DuplicateKeyError if fault["code"] == 11000 else BulkWriteError  # noqa: PLR2004 (MongoDB's code)
        group[fault["index"]].error = kind(fault["errmsg"], fault["code"]) if kind is DuplicateKeyError else error
