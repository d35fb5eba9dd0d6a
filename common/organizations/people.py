"""People: who may sign in, by organization; the operators belong to the reserved organization `platform`."""

import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError

from common.caller import Role
from common.clock import Clock
from common.config import Settings
from common.errors import Misconfigured
from common.ids import PLATFORM, OrgId, new_id
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, hash_password
from common.tenancy.control import ControlPlane

EMAIL_MAX_CHARS = 254
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}\Z")


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in."""

    user_id: str
    org_id: OrgId
    email: str
    role: Role
    password_hash: str


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
    if found is None:
        return None
    return Person(
        user_id=found["_id"],
        org_id=found["org_id"],
        email=found["email"],
        role=found["role"],
        password_hash=found["password_hash"],
    )


def person_document(
    *, user_id: str, org_id: OrgId, email: str, role: Role, password_hash: str, clock: Clock
) -> dict[str, Any]:
    """Return the document of a new person."""
    return {
        "_id": user_id,
        "org_id": org_id,
        "email": email,
        "role": role,
        "password_hash": password_hash,
        "created_at": clock.now(),
    }


def ensure_operator(control: ControlPlane, settings: Settings, clock: Clock) -> str | None:
    """Make the operator whom the settings name, unless there is one of that address.

    Return the password that was made for it, to be printed once, or `None` if it was set or known before.
    Raises `Misconfigured` for an address or a password that can't be one.
    """
    email = _operator_email(settings)
    if control.users.find_one({"org_id": PLATFORM, "email": email}) is not None:
        return None
    given = settings.operator_password.get_secret_value() if settings.operator_password else None
    password = given or secrets.token_urlsafe(18)
    document = person_document(
        user_id=new_id(),
        org_id=PLATFORM,
        email=email,
        role="operator",
        password_hash=_operator_hash(password),
        clock=clock,
    )
    try:
        control.users.insert_one(document)
    except DuplicateKeyError:
        return None  # another process was first
    return None if given else password


def _operator_email(settings: Settings) -> str:
    try:
        return normal_email(settings.operator_email)
    except ValueError as error:
        raise Misconfigured("FAIRWAY_OPERATOR_EMAIL is no e-mail address.") from error


def _operator_hash(password: str) -> str:
    try:
        return hash_password(password)
    except ValueError as error:
        sentence = f"has {MIN_CHARS} to {MAX_CHARS} characters"
        raise Misconfigured(f"FAIRWAY_OPERATOR_PASSWORD can't be used: a password {sentence}.") from error
