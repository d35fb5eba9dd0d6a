"""API keys: the credentials of machines. Shown once, stored as a hash, bound to a role and to scopes.

fwk_<id>_<secret>     256 random bits, so that a plain SHA-256 of the secret can't be guessed from
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from common.caller import Role
from common.clock import Clock
from common.errors import Conflict, NotFound
from common.events import append
from common.ids import OrgId, new_id
from common.jobs.idempotency import Once, do_once
from common.tenancy.changes import GONE, Change, Changes
from common.tenancy.control import ControlPlane

PREFIX = "fwk_"
KEYS_MOST = 100
NAME_MAX_CHARS = 100
ABSENT = "There is no such API key."
_TOKEN = re.compile(r"fwk_([0-9a-f-]{36})_([A-Za-z0-9_-]{43})\Z")

Scope = Literal[
    "jobs:read",
    "jobs:write",
    "files:read",
    "files:write",
    "tickets:read",
    "tickets:write",
    "organization:read",
    "organization:write",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class ApiKey:
    """A key as its organization sees it; the secret is not in it. *last_used_at* is true to a minute."""

    key_id: str
    org_id: OrgId
    name: str
    role: Role
    scopes: Sequence[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None


def key_key(key_id: str) -> str:
    """Return the key under which changes of that API key are noted."""
    return f"api_key:{key_id}"


def parts_of(token: str) -> tuple[str, str] | None:
    """Return the id that *token* names and the hash of it, or `None` if it has not the shape of a key."""
    found = _TOKEN.match(token)
    return (found[1], hash_of(token)) if found else None


def hash_of(token: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiKeys:
    """The keys of all organizations, each asked for with its organization."""

    def __init__(self, control: ControlPlane, clock: Clock, changes: Changes) -> None:
        self._control = control
        self._keys = control.api_keys
        self._clock = clock
        self._changes = changes

    def make(
        self,
        org_id: OrgId,
        name: str,
        role: Role,
        *,
        scopes: Sequence[str],
        expires_at: datetime | None,
        by: str,
        once: Once | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return it and its token, which is not to be had again. Raises `Conflict` for too many."""
        key_id = new_id()
        token = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        document = {
            "_id": key_id,
            "org_id": org_id,
            "name": name,
            "role": role,
            "scopes": list(scopes),
            "hash": hash_of(token),
            "created_by": by,
            "created_at": self._clock.now(),
            "expires_at": expires_at,
        }

        def work(change: Change) -> tuple[ApiKey, str]:
            self._tell(change, org_id, "ApiKeyCreated", by, key_id)
            if self._keys.count_documents({"org_id": org_id}, session=change.session) >= KEYS_MOST:
                raise Conflict(f"An organization has at most {KEYS_MOST} API keys. Revoke one first.")
            self._keys.insert_one(document, session=change.session)
            return _read(document), token

        control, now = self._control, self._clock.now
        return self._changes.transact(
            work, runs=lambda effect: do_once(control.idempotency, once, now, effect, control.transaction)
        )

    def get(self, org_id: OrgId, key_id: str) -> ApiKey:
        """Return a key. Raises `NotFound`, also for another organization's."""
        found = self._keys.find_one({"_id": {"$eq": key_id}, "org_id": {"$eq": org_id}})
        if found is None:
            raise NotFound(ABSENT)
        return _read(found)

    def page(self, org_id: OrgId, *, after: str, limit: int) -> list[ApiKey]:
        """List up to *limit* keys, the oldest first, from *after* on."""
        where = {"org_id": {"$eq": org_id}, "_id": {"$gt": after}}
        return [_read(one) for one in self._keys.find(where).sort("_id", 1).limit(limit)]

    def revoke(self, org_id: OrgId, key_id: str, *, by: str) -> None:
        """Refuse a key from now on, on every process within seconds. Raises `NotFound`."""

        def work(change: Change) -> None:
            self._tell(change, org_id, "ApiKeyRevoked", by, key_id)
            gone = self._keys.delete_one({"_id": key_id, "org_id": org_id}, session=change.session)
            if not gone.deleted_count:
                raise NotFound(ABSENT)
            change.note(key_key(key_id), GONE)

        self._changes.transact(work)

    def _tell(self, change: Change, org_id: OrgId, event: Any, actor: str, key_id: str) -> None:
        append(self._control, change.session, self._clock, org_id, event, actor=actor, data={"api_key_id": key_id})


def _read(document: Mapping[str, Any]) -> ApiKey:
    return ApiKey(
        key_id=document["_id"],
        org_id=document["org_id"],
        name=document["name"],
        role=document["role"],
        scopes=tuple(document["scopes"]),
        created_by=document["created_by"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
        last_used_at=document.get("last_used_at"),
    )
