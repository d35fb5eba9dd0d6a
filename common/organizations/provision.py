"""Provisioning an organization: what is asked, and the one transaction that makes it."""

from typing import Any

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common.clock import Clock
from common.errors import JobFailed
from common.events import append
from common.ids import OrgId, new_id
from common.jobs.kind import Job
from common.organizations.person import person_document
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement


class ProvisionOrganization(Job, name="organizations.provision", queue="organizations", time_limit_s=120):
    """Make the organization that the reservation of *slug* describes, with its first admin: both or neither."""

    org_id: str
    slug: str


def placement_of(control: ControlPlane, job: ProvisionOrganization) -> Placement | None:
    """Return where the reservation places the organization; `None` if it does not say, or is gone."""
    found = control.slugs.find_one({"_id": job.slug, "org_id": job.org_id}) or {}
    return Placement(**found["placement"]) if "placement" in found else None


def make(
    control: ControlPlane, session: ClientSession, job: ProvisionOrganization, placement: Placement, clock: Clock
) -> None:
    """Write organization, admin and slug in the transaction of *session*; a second time it changes nothing.

    Raises `JobFailed` with code `slug-taken` if the reservation is another's by now.
    """
    reservation = control.slugs.find_one({"_id": job.slug, "org_id": job.org_id}, session=session)
    if reservation is None:
        raise _lost(job.slug)
    if reservation["state"] != "reserved":
        return  # done by an earlier run of this job
    org_id, by = OrgId(job.org_id), reservation.get("by", "sign-up")
    try:
        control.organizations.insert_one(_organization(job, reservation, placement, clock), session=session)
    except DuplicateKeyError as error:
        raise _lost(job.slug) from error
    admin = _admin(job, reservation, clock)
    control.users.insert_one(admin, session=session)
    made = {"slug": job.slug, "tier": reservation["tier"]}
    append(control, session, clock, org_id, "OrganizationCreated", actor=by, data=made)
    first = {"user_id": admin["_id"], "role": "admin"}
    append(control, session, clock, org_id, "AdminCreated", actor=by, data=first)
    # The hash leaves with this step: from now on it stands with the person alone.
    control.slugs.replace_one(
        {"_id": job.slug, "org_id": job.org_id},
        {"org_id": job.org_id, "job_id": reservation["job_id"], "state": "taken", "at": clock.now()},
        session=session,
    )


def _lost(slug: str) -> JobFailed:
    return JobFailed(f"The slug {slug} was taken by another sign-up.", code="slug-taken")


def _organization(
    job: ProvisionOrganization, reservation: Any, placement: Placement, clock: Clock
) -> dict[str, Any]:
    return {
        "_id": job.org_id,
        "name": reservation["name"],
        "slug": job.slug,
        "tier": reservation["tier"],
        "placement": placement.document(),
        "state": "active",
        "revision": 0,
        "created_at": clock.now(),
    }


def _admin(job: ProvisionOrganization, reservation: Any, clock: Clock) -> dict[str, Any]:
    admin = reservation["admin"]
    return person_document(
        user_id=admin.get("user_id") or new_id(),
        org_id=OrgId(job.org_id),
        email=admin["email"],
        role="admin",
        password_hash=admin["password_hash"],
        claim=admin.get("claim"),
        clock=clock,
    )
