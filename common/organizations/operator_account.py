"""The first operator, made from the settings when the platform starts."""

import secrets

from pymongo.errors import DuplicateKeyError

from common.clock import Clock
from common.config import Settings
from common.errors import Misconfigured
from common.ids import PLATFORM, new_id
from common.organizations.passwords import MAX_CHARS, MIN_CHARS, hash_password
from common.organizations.person import normal_email, person_document
from common.tenancy.control import ControlPlane


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
