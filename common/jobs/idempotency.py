"""Idempotency: the first answer under a key is kept in the transaction of its effect, for 24 hours.

A crash therefore leaves no key "in flight": either effect and answer are both there, or neither is.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import orjson
from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from common.errors import Conflict, Fault, Invalid

T = TypeVar("T")
KEPT_FOR = timedelta(hours=24)

IDEMPOTENCY_INDEXES = (IndexModel([("expires_at", ASCENDING)], expireAfterSeconds=0, name="expiry"),)


@dataclass(frozen=True)
class Answer:
    """What the first request under a key was answered; *body* is plain JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Once:
    """One use of an idempotency key.

    *fingerprint* is the SHA-256 of all that makes the request what it is; *answer* makes the answer from what was
    made, with its `Location`. An answer that shows a secret is never kept: the second request learns only where
    that is.
    """

    scope: str
    operation: str
    key: str
    fingerprint: str
    answer: Callable[[Any], Answer]
    shows_secret: bool = False

    @property
    def id(self) -> str:
        """Return the key's own id."""
        return _id_of(self.scope, self.operation, self.key)


class AlreadyAnswered(Exception):
    """The same request was answered before; *answer* is that first answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("The same request was answered before.")
        self.answer = answer


def is_used(collection: Collection[Any], scope: str, operation: str, key: str, now: datetime) -> bool:
    """Tell whether a key was used, for whatever request."""
    found = collection.find_one({"_id": _id_of(scope, operation, key)}, {"expires_at": 1})
    return found is not None and found["expires_at"] > now


def look_up(collection: Collection[Any], once: Once, now: datetime) -> None:
    """Return if the key is free. Raises `AlreadyAnswered`, or `Invalid` or `Conflict` for another use."""
    found = collection.find_one({"_id": once.id})
    if found is None or found["expires_at"] <= now:
        return
    if found["fingerprint"] != once.fingerprint:
        raise ReusedKey
    if found["secret"]:
        raise Conflict(
            "This was asked before under this Idempotency-Key. Its answer showed a secret and is not repeated.",
            extra=_link(found),
        )
    raise AlreadyAnswered(Answer(found["status"], orjson.loads(found["body"]), found["headers"]))


def keep(collection: Collection[Any], session: ClientSession, once: Once, made: object, now: datetime) -> None:
    """Keep the answer to *made* under the key, in the transaction of *session*.

    Raises `DuplicateKeyError` if another transaction took the key since `look_up`.
    """
    answer = once.answer(made)
    collection.delete_one({"_id": once.id, "expires_at": {"$lte": now}}, session=session)
    collection.insert_one(
        {
            "_id": once.id,
            "fingerprint": once.fingerprint,
            "secret": once.shows_secret,
            "made": answer.headers.get("Location"),
            "status": answer.status,
            # As text: an answer's keys and values are a caller's, and must come back to the letter.
            "body": b"" if once.shows_secret else orjson.dumps(answer.body),
            "headers": {} if once.shows_secret else dict(answer.headers),
            "expires_at": now + KEPT_FOR,
        },
        session=session,
    )


def do_once(
    collection: Collection[Any],
    once: Once | None,
    now: Callable[[], datetime],
    effect: Callable[[ClientSession], T],
    transact: Callable[[Callable[[ClientSession], T]], T],
) -> T:
    """Make *effect* and keep its answer in one transaction, unless the key was used before.

    Raises like `look_up`, and `Conflict` for what another request is making at this moment.
    """
    if once is not None:
        look_up(collection, once, now())
    return keep_once(collection, once, now, effect, transact)


def keep_once(
    collection: Collection[Any],
    once: Once | None,
    now: Callable[[], datetime],
    effect: Callable[[ClientSession], T],
    transact: Callable[[Callable[[ClientSession], T]], T],
) -> T:
    """Do what `do_once` does for who has looked the key up already."""
    if once is None:
        return transact(effect)

    def both(session: ClientSession) -> T:
        made = effect(session)
        keep(collection, session, once, made, now())
        return made

    try:
        return transact(both)
    except DuplicateKeyError:
        # Another request with this key committed since we looked; if the key still seems free, the
        # duplicate was in the effect itself.
        look_up(collection, once, now())
        raise Conflict("This is being made by another request. Try again in a moment.") from None


def _id_of(scope: str, operation: str, key: str) -> str:
    """Hash them, so that nothing a caller sends becomes a part of a key of ours."""
    return hashlib.sha256(orjson.dumps([scope, operation, key])).hexdigest()


def _link(found: Mapping[str, Any]) -> dict[str, Any]:
    link = found.get("made") or f"/v1/jobs/{found.get('job_id')}"  # as a version before kept it
    return {"job" if link.startswith("/v1/jobs/") else "made": link}


class ReusedKey(Invalid):
    """The key was used for another request."""

    code, title = "idempotency-key-reused", "The Idempotency-Key was used for another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request in the last 24 hours. Take a new key.",
            [Fault("was used for another request", "Idempotency-Key", "header")],
        )
