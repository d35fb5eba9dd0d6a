"""Signing up: a slug is reserved in the transaction that accepts the job, so that no two can be on their way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.client_session import ClientSession

from common.clock import Clock
from common.ids import JobId, OrgId
from common.organizations import slugs
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement
from common.tenancy.tiers import Tier


@dataclass(frozen=True)
class Reservation:
    """An organization on its way; its admin's password is hashed before anything is written.

    Without a password the admin is invited: *admin_claim* is what is kept of the token.
    """

    org_id: OrgId
    job_id: JobId
    name: str
    slug: str
    tier: Tier
    admin_id: str
    admin_email: str
    admin_password_hash: str | None
    admin_claim: Mapping[str, Any] | None = None
    by: str = "sign-up"


def reserve(
    control: ControlPlane, session: ClientSession, reservation: Reservation, placement: Placement, clock: Clock
) -> None:
    """Reserve the slug in the transaction of *session*. Raises `Conflict` if it is taken or on its way.

    A reservation whose job failed or was cancelled may be taken over: that sign-up never came to be.
    """
    document: dict[str, Any] = {
        "org_id": reservation.org_id,
        "job_id": reservation.job_id,
        "state": "reserved",
        "name": reservation.name,
        "tier": reservation.tier,
        "placement": placement.document(),
        "admin": {
            "user_id": reservation.admin_id,
            "email": reservation.admin_email,
            "password_hash": reservation.admin_password_hash,
            "claim": reservation.admin_claim,
        },
        "by": reservation.by,
        "at": clock.now(),
    }
    slugs.take(control, session, reservation.slug, document, clock.now())
