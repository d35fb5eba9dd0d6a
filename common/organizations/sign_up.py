"""Signing up: a slug is reserved in the transaction that accepts the job, so that no two can be on their way."""

import re
import unicodedata
from dataclasses import dataclass

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common.clock import Clock
from common.errors import Conflict
from common.ids import JobId, OrgId
from common.tenancy.control import ControlPlane
from common.tenancy.tiers import Tier

NAME_MAX_CHARS = 200
SLUG = re.compile(r"[a-z0-9](-?[a-z0-9]){1,38}\Z")
RESERVED_SLUGS = frozenset(
    {"admin", "api", "app", "docs", "fairway", "healthz", "metrics", "operations", "platform", "problems"}
    | {"readyz", "root", "static", "status", "support", "system", "v1", "www"}
)


@dataclass(frozen=True)
class Reservation:
    """An organization on its way; its admin's password is hashed before anything is written."""

    org_id: OrgId
    job_id: JobId
    name: str
    slug: str
    tier: Tier
    admin_email: str
    admin_password_hash: str


def slug_of(name: str) -> str | None:
    """Derive a slug from a name, or return `None` if nothing of it can stand in one."""
    plain = unicodedata.normalize("NFKD", name[:NAME_MAX_CHARS]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:39].strip("-")
    return slug if is_free_to_ask(slug) else None


def is_free_to_ask(slug: str) -> bool:
    """Tell whether *slug* has the shape of one and is not kept for the platform."""
    return SLUG.match(slug) is not None and slug not in RESERVED_SLUGS


def reserve(control: ControlPlane, session: ClientSession, reservation: Reservation, clock: Clock) -> None:
    """Reserve the slug in the transaction of *session*. Raises `Conflict` if it is taken or on its way.

    A reservation whose job failed or was cancelled may be taken over: that sign-up never came to be.
    """
    document = {
        "_id": reservation.slug,
        "org_id": reservation.org_id,
        "job_id": reservation.job_id,
        "state": "reserved",
        "name": reservation.name,
        "tier": reservation.tier,
        "admin": {"email": reservation.admin_email, "password_hash": reservation.admin_password_hash},
        "at": clock.now(),
    }
    found = control.slugs.find_one({"_id": reservation.slug}, session=session)
    if found is None:
        try:
            control.slugs.insert_one(document, session=session)
        except DuplicateKeyError as error:
            raise _taken(reservation.slug) from error
        return
    if found["state"] != "reserved" or not _came_to_nothing(control, session, found["job_id"]):
        raise _taken(reservation.slug)
    control.slugs.replace_one({"_id": reservation.slug, "job_id": found["job_id"]}, document, session=session)


def _came_to_nothing(control: ControlPlane, session: ClientSession, job_id: str) -> bool:
    job = control.jobs.find_one({"_id": job_id}, {"state": 1}, session=session)
    return job is None or job["state"] in {"failed", "cancelled"}


def _taken(slug: str) -> Conflict:
    return Conflict(f"The slug {slug} is taken. Choose another.")
