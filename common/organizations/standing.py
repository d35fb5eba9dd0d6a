"""Who may still come in: what a credential said when it was made, held against what is so now.

A token proves who somebody was fifteen minutes ago at most. Whether the session goes on, which role the person has
and whether the organization is there is looked up, and remembered until it changes.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from pymongo import WriteConcern
from pymongo.errors import PyMongoError

from common.caller import Role
from common.clock import Clock, rfc3339
from common.errors import NotFound, Unauthenticated
from common.ids import PLATFORM, JobId, OrgId
from common.metrics import SWALLOWED
from common.organizations.api_keys import key_key, parts_of
from common.organizations.person import person_key
from common.organizations.sessions import session_key
from common.organizations.tokens import Claims
from common.tenancy.cache import Versioned
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Registry
from common.tenancy.remembered import Remembered

OVER = "This session is over. Sign in again."
NOTED_EVERY_S, NOTED_MOST = 60.0, 10_000
NO_KEY = "This API key does not hold."


@dataclass(frozen=True)
class Identity:
    """Who a credential stands for now; *scopes* bound what a key may do, a person has none."""

    org_id: OrgId
    user_id: str
    role: Role
    only_job: JobId | None = None
    session_id: str = ""
    scopes: frozenset[str] | None = None
    expires_at: int | None = None


class Standing:
    """Judges credentials that are genuine."""

    def __init__(self, control: ControlPlane, registry: Registry, remembered: Remembered, clock: Clock) -> None:
        self._control = control
        self._registry = registry
        self._remembered = remembered
        self._clock = clock
        self._keys = control.api_keys.with_options(write_concern=WriteConcern(w=1))
        self._noted: dict[str, float] = {}

    def of(self, claims: Claims) -> Identity:
        """Return who a genuine token stands for now. Raises `Unauthenticated` if its session or person is gone."""
        if claims.only_job is not None:
            self._refuse_deleted(claims.org_id, may_be_absent=True)
            return Identity(
                claims.org_id,
                claims.user_id,
                "job",
                only_job=claims.only_job,
                expires_at=claims.expires_at,
            )
        self._refuse_deleted(claims.org_id)
        session = self._find(session_key(claims.session_id), self._control.sessions, claims.session_id, _SESSION)
        person = self._find(person_key(claims.user_id), self._control.users, claims.user_id, _PERSON)
        if (
            session is None
            or person is None
            or person["state"] != "active"
            or session["epoch"] != person["epoch"]
            or (session["user_id"], session["org_id"]) != (claims.user_id, claims.org_id)
            or person["org_id"] != claims.org_id
        ):
            raise Unauthenticated(OVER)
        return Identity(
            claims.org_id,
            claims.user_id,
            person["role"],
            session_id=claims.session_id,
            expires_at=claims.expires_at,
        )

    def of_key(self, token: str) -> Identity:
        """Return whom an API key stands for now. Raises `Unauthenticated` if it is none that holds."""
        parts = parts_of(token)
        if parts is None:
            raise Unauthenticated(NO_KEY)
        key_id, given = parts
        key = self._find(key_key(key_id), self._control.api_keys, key_id, _KEY)
        if key is None or not hmac.compare_digest(key["hash"], given):
            raise Unauthenticated(NO_KEY)
        expires_at = datetime.fromisoformat(key["expires_at"]) if key["expires_at"] else None
        if expires_at is not None and expires_at <= self._clock.now():
            raise Unauthenticated("This API key is over. Make another one.")
        self._refuse_deleted(key["org_id"])
        self._note_use(key_id)
        return Identity(
            OrgId(key["org_id"]),
            f"key:{key_id}",
            key["role"],
            scopes=frozenset(key["scopes"]),
            expires_at=int(expires_at.timestamp()) if expires_at is not None else None,
        )

    def _note_use(self, key_id: str) -> None:
        """Write down that the key was used, at most once a minute; for looking at only, so it may fail."""
        now = self._clock.monotonic()
        if now - self._noted.get(key_id, float("-inf")) < NOTED_EVERY_S:
            return
        if len(self._noted) >= NOTED_MOST:
            self._noted.clear()
        self._noted[key_id] = now
        try:
            with pymongo.timeout(1):
                self._keys.update_one({"_id": key_id}, {"$set": {"last_used_at": self._clock.now()}})
        except PyMongoError:
            SWALLOWED.labels("key_use").inc()

    def _refuse_deleted(self, org_id: OrgId, *, may_be_absent: bool = False) -> None:
        if org_id == PLATFORM:
            return
        try:
            organization = self._registry.get(org_id)
        except NotFound as error:
            if may_be_absent:  # it is on its way
                return
            raise Unauthenticated(OVER) from error
        if not organization.is_active:
            raise Unauthenticated("This organization was deleted. An operator can restore it for some time.")

    def _find(self, key: str, collection: Any, identity: str, fields: Mapping[str, Any]) -> Any:
        def load() -> Versioned | None:
            found = collection.find_one({"_id": {"$eq": identity}}, list(fields))
            if found is None:
                return None
            plain = {name: _plain(found.get(name, otherwise)) for name, otherwise in fields.items()}
            return Versioned(found.get("revision", 0), plain)

        return self._remembered.get(key, load, dict)


_SESSION = {"org_id": "", "user_id": "", "epoch": 0, "revision": 0}
_PERSON = {"org_id": "", "role": "member", "state": "active", "epoch": 0, "revision": 0}
_KEY: Mapping[str, Any] = {"org_id": "", "hash": "", "role": "member", "scopes": [], "expires_at": None}
"""What is remembered of each, with what a version before did not write. A key's hash is of 256 random bits."""


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
