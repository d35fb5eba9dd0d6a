"""Sessions: what a sign-in begins. A refresh token is good once and gives the next; using it again later ends all.

    fwr_<session>.<generation>.<code>     code = HMAC-SHA-256 of both under the session's own secret

The secret is stored encrypted, so a copy of the database makes no token. A client that lost the answer asks again
within ten seconds and gets the same successor (RFC 9700, 4.14.2); later, somebody has stolen one of the two.
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.caller import Role
from common.clock import Clock
from common.errors import NotFound, Stale, Unauthenticated
from common.events import append
from common.ids import PLATFORM, OrgId, new_id
from common.keys import SecretKeys
from common.organizations.person import ADMINS, Person, find_by_id, person_key
from common.organizations.tokens import ACCESS_S, Tokens
from common.tenancy.changes import GONE, Change, Changes
from common.tenancy.control import ControlPlane

LASTS = timedelta(days=30)
GRACE = timedelta(seconds=10)
SESSIONS_MOST = 100
"""Sessions that a person has at most; whoever signs in once more ends the oldest."""
_SECRET_BYTES = 32
_TOKEN = re.compile(r"fwr_([0-9a-f-]{36})\.([0-9]{1,9})\.([A-Za-z0-9_-]{43})\Z")
_REFUSED = "This refresh token does not hold. Sign in again."


@dataclass(frozen=True)
class Granted:
    """What a sign-in or a refresh gives; *expires_in_s* is how long the access token lasts."""

    access_token: str
    refresh_token: str
    expires_in_s: int


@dataclass(frozen=True)
class Session:
    """A session as its person sees it."""

    session_id: str
    created_at: datetime
    refreshed_at: datetime | None
    expires_at: datetime


class Sessions:
    """The sessions of all people."""

    def __init__(
        self, control: ControlPlane, keys: SecretKeys, clock: Clock, changes: Changes, tokens: Tokens
    ) -> None:
        self._control = control
        self._sessions = control.sessions
        self._keys = keys
        self._clock = clock
        self._changes = changes
        self._tokens = tokens

    def begin(self, person: Person) -> Granted:
        """Begin a session of *person*; an admin's is an event of the organization."""
        session_id, secret = new_id(), secrets.token_bytes(_SECRET_BYTES)
        now = self._clock.now()
        document = {
            "_id": session_id,
            "org_id": person.org_id,
            "user_id": person.user_id,
            "secret": self._keys.encrypt(secret, **_place(person.org_id, session_id)),
            "generation": 1,
            "epoch": person.epoch,
            "created_at": now,
            "expires_at": now + LASTS,
        }
        if person.role in ADMINS:
            self._control.transaction(lambda session: self._note_admin(session, person, document))
        else:
            self._sessions.insert_one(document)
        self._end_oldest(person)
        return self._granted(person, session_id, _token(secret, session_id, 1))

    def refresh(self, token: str) -> Granted:
        """Give the next pair for *token*. Raises `Unauthenticated`; for one used before, the session is over."""
        found, generation, secret = self._read(token)
        now = self._clock.now()
        if generation == found["generation"]:
            moved = self._sessions.update_one(
                {"_id": found["_id"], "generation": generation},
                {"$set": {"generation": generation + 1, "rotated_at": now, "expires_at": now + LASTS}},
            )
            if not moved.matched_count:  # the same token, used twice at once: both get the same successor
                found, _, _ = self._read(token)
        if found["generation"] not in {generation, generation + 1} or (
            generation < found["generation"] and now - found.get("rotated_at", now) > GRACE
        ):
            self._end(found["_id"])
            raise Unauthenticated(
                "This refresh token was used before, so its session is over for safety. Sign in again."
            )
        person = find_by_id(self._control, found["org_id"], found["user_id"])
        if person is None or not person.may_sign_in or person.epoch != found["epoch"]:
            raise Unauthenticated(_REFUSED)
        return self._granted(person, found["_id"], _token(secret, found["_id"], generation + 1))

    def end(self, session_id: str) -> None:
        """End a session; its tokens are refused everywhere within seconds. One that is over stays so."""
        self._end(session_id)

    def page(self, org_id: OrgId, user_id: str, *, before: str | None, limit: int) -> list[Session]:
        """List up to *limit* sessions of a person, the newest first, from *before* on."""
        where: dict[str, Any] = {"org_id": {"$eq": org_id}, "user_id": {"$eq": user_id}}
        if before is not None:
            where["_id"] = {"$lt": before}
        person = find_by_id(self._control, org_id, user_id)
        where["epoch"] = person.epoch if person is not None else -1  # those that were not ended with all others
        return [
            Session(one["_id"], one["created_at"], one.get("rotated_at"), one["expires_at"])
            for one in self._sessions.find(where).sort("_id", -1).limit(limit)
        ]

    def end_own(self, org_id: OrgId, user_id: str, session_id: str) -> None:
        """End a session of that person. Raises `NotFound`, also for another's."""
        mine = {"_id": {"$eq": session_id}, "org_id": {"$eq": org_id}, "user_id": {"$eq": user_id}}
        if self._sessions.find_one(mine, {"_id": 1}) is None:
            raise NotFound("There is no such session.")
        self._end(session_id)

    def end_all(self, org_id: OrgId, user_id: str, *, but: str | None = None) -> None:
        """End every session of a person, *but* one. Raises `NotFound`."""

        def work(change: Change) -> None:
            self._raise_epoch(change, org_id, user_id, but=but)
            append(
                self._control,
                change.session,
                self._clock,
                org_id,
                "SessionsRevoked",
                actor=user_id,
                data={"user_id": user_id},
            )

        self._changes.transact(work)

    def change_password(self, was: Person, password_hash: str, *, keeps: str) -> None:
        """Give a person another password and end every session of theirs but the one that *keeps* on.

        Raises `Stale` if the password was changed meanwhile.
        """

        def work(change: Change) -> None:
            said = {"user_id": was.user_id}
            append(
                self._control,
                change.session,
                self._clock,
                was.org_id,
                "PasswordChanged",
                actor=was.user_id,
                data=said,
            )
            same = {"_id": was.user_id, "org_id": was.org_id, "password_hash": was.password_hash}
            update = {"$set": {"password_hash": password_hash}, "$unset": {"claim": ""}}
            if not self._control.users.update_one(same, update, session=change.session).matched_count:
                raise Stale("The password was changed meanwhile. Sign in again.")
            self._raise_epoch(change, was.org_id, was.user_id, but=keeps)

        self._changes.transact(work)

    def _raise_epoch(self, change: Change, org_id: OrgId, user_id: str, *, but: str | None = None) -> None:
        """End every session of a person, *but* one, in the transaction of *change*. Raises `NotFound`."""
        found: Any = self._control.users.find_one_and_update(
            {"_id": user_id, "org_id": org_id},
            {"$inc": {"epoch": 1, "revision": 1}},
            return_document=True,
            session=change.session,
        )
        if found is None:
            raise NotFound("There is no such person.")
        change.note(person_key(user_id), found["revision"])
        if but is not None:
            kept = {"_id": but, "org_id": org_id, "user_id": user_id}
            epoch = {"$set": {"epoch": found["epoch"]}, "$inc": {"revision": 1}}
            session: Any = self._sessions.find_one_and_update(
                kept, epoch, return_document=True, session=change.session
            )
            if session is not None:
                change.note(session_key(but), session["revision"])

    def _note_admin(self, session: Any, person: Person, document: dict[str, Any]) -> None:
        self._sessions.insert_one(document, session=session)
        data = {"user_id": person.user_id, "session_id": document["_id"]}
        append(
            self._control, session, self._clock, person.org_id, "AdminLoggedIn", actor=person.user_id, data=data
        )

    def _end_oldest(self, person: Person) -> None:
        """End the oldest sessions of a person who has more than may be."""
        mine = {"org_id": person.org_id, "user_id": person.user_id}
        for one in self._sessions.find(mine, {"_id": 1}).sort("_id", -1).skip(SESSIONS_MOST):
            self._end(one["_id"])

    def _read(self, token: str) -> tuple[Any, int, bytes]:
        parts = _TOKEN.match(token)
        found = self._sessions.find_one({"_id": parts[1]}) if parts else None
        if parts is None or found is None or found["expires_at"] <= self._clock.now():
            raise Unauthenticated(_REFUSED)
        secret = self._keys.decrypt(found["secret"], **_place(found["org_id"], found["_id"]))
        generation = int(parts[2])
        if not hmac.compare_digest(token, _token(secret, found["_id"], generation)):
            raise Unauthenticated(_REFUSED)
        return found, generation, secret

    def _end(self, session_id: str) -> None:
        def work(change: Change) -> None:
            self._sessions.delete_one({"_id": session_id}, session=change.session)
            change.note(session_key(session_id), GONE)

        self._changes.transact(work)

    def _granted(self, person: Person, session_id: str, refresh_token: str) -> Granted:
        role: Role = "operator" if person.org_id == PLATFORM else person.role
        access, _ = self._tokens.issue(
            org_id=person.org_id, user_id=person.user_id, role=role, session_id=session_id
        )
        return Granted(access, refresh_token, ACCESS_S)


def session_key(session_id: str) -> str:
    """Return the key under which changes of that session are noted."""
    return f"session:{session_id}"


def _token(secret: bytes, session_id: str, generation: int) -> str:
    named = f"{session_id}.{generation}"
    code = base64.urlsafe_b64encode(hmac.digest(secret, named.encode(), "sha256")).rstrip(b"=")
    return f"fwr_{named}.{code.decode()}"


def _place(org_id: str, session_id: str) -> dict[str, str]:
    return {"org_id": org_id, "collection": "sessions", "field": "secret", "id": session_id}
