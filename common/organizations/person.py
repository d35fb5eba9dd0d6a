"""A person: who may sign in, in which role and state; and the one form in which an e-mail address is kept.

invited ──sets a password──▶ active ◀──▶ disabled        removed: gone
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from common.caller import Role
from common.clock import Clock
from common.ids import OrgId
from common.tenancy.control import ControlPlane

EMAIL_MAX_CHARS = 254
NAME_MAX_CHARS = 200
ADMINS: tuple[Role, ...] = ("admin", "operator")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}\Z")

State = Literal["active", "invited", "disabled"]


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in; *epoch* rises when all of their sessions end, *revision* with every change."""

    user_id: str
    org_id: OrgId
    email: str
    name: str
    role: Role
    state: State
    password_hash: str | None
    epoch: int
    revision: int
    created_at: datetime

    @property
    def may_sign_in(self) -> bool:
        """Tell whether the person may come in."""
        return self.state == "active"

    @property
    def version(self) -> str:
        """Return what changes with every change, as an ETag."""
        return f"{self.user_id}-{self.revision}"


def person_key(user_id: str) -> str:
    """Return the key under which changes of that person are noted."""
    return f"person:{user_id}"


def normal_email(text: str) -> str:
    """Return the one form in which an address is kept. Raises `ValueError` if it is none.

    Two addresses that differ only in case or in how an accent is composed are one: canonical caseless matching
    (Unicode 16, D145). Whatever does not show (controls, zero widths, changes of direction) is refused.
    """
    if len(text) > EMAIL_MAX_CHARS:
        raise ValueError("This is no e-mail address.")
    email = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    if len(email) > EMAIL_MAX_CHARS or not email.isprintable() or not _EMAIL.match(email):
        raise ValueError("This is no e-mail address.")
    return email


def find_person(control: ControlPlane, org_id: OrgId, email: str) -> Person | None:
    """Return the person of that organization and address, or `None`."""
    found = control.users.find_one({"org_id": {"$eq": org_id}, "email": {"$eq": email}})
    return read_person(found) if found is not None else None


def find_by_id(control: ControlPlane, org_id: OrgId, user_id: str) -> Person | None:
    """Return that person of the organization, or `None`."""
    found = control.users.find_one({"_id": {"$eq": user_id}, "org_id": {"$eq": org_id}})
    return read_person(found) if found is not None else None


def read_person(document: Mapping[str, Any]) -> Person:
    """Read MongoDB's *document*; what a version before did not write has its first value."""
    return Person(
        user_id=document["_id"],
        org_id=document["org_id"],
        email=document["email"],
        name=document.get("name", ""),
        role=document["role"],
        state=document.get("state", "active"),
        password_hash=document.get("password_hash"),
        epoch=document.get("epoch", 0),
        revision=document.get("revision", 0),
        created_at=document["created_at"],
    )


def person_document(
    *,
    user_id: str,
    org_id: OrgId,
    email: str,
    role: Role,
    password_hash: str | None,
    clock: Clock,
    name: str = "",
    claim: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document of a new person: active with a password, else invited by the token of *claim*."""
    document: dict[str, Any] = {
        "_id": user_id,
        "org_id": org_id,
        "email": email,
        "email_domain": domain_of(email),
        "name": name,
        "role": role,
        "state": "active" if password_hash is not None else "invited",
        "password_hash": password_hash,
        "epoch": 0,
        "revision": 0,
        "created_at": clock.now(),
    }
    return document | ({"claim": dict(claim)} if claim is not None else {})


def domain_of(email: str) -> str:
    """Return what stands behind the @ of an address in its normal form."""
    return email.rsplit("@", 1)[-1]


def bring_up_to_date(control: ControlPlane) -> None:
    """Give people of before the field by which operators look for them; safe to repeat."""
    domain = {"$arrayElemAt": [{"$split": ["$email", "@"]}, -1]}
    control.users.update_many({"email_domain": None}, [{"$set": {"email_domain": domain}}])
