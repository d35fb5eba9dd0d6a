"""A control plane, and sign-ups that stand in it as if they had come through the API."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from common.clock import SystemClock
from common.config import Settings
from common.ids import JobId, OrgId, new_id
from common.organizations.sign_up import Reservation, reserve
from common.tenancy.connection import connect
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement

CLOCK = SystemClock()
PLACE = Placement("pooled", "data_1")


@pytest.fixture
def control(settings: Settings) -> Iterator[ControlPlane]:
    """Return a control plane with its collections and indexes."""
    client: MongoClient[Any]
    with connect(settings.mongo_url.get_secret_value(), "test") as client:
        made = ControlPlane(client, settings.control_database, {})
        made.ensure_indexes()
        yield made


def wanted(slug: str = "acme") -> Reservation:
    """Return what a sign-up asks for."""
    return Reservation(
        org_id=OrgId(new_id()),
        job_id=JobId(new_id()),
        name="Acme",
        slug=slug,
        tier="free",
        admin_id=new_id(),
        admin_email="ada@acme.example",
        admin_password_hash="$argon2id$of-ada",
    )


def sign_up(control: ControlPlane, reservation: Reservation) -> Reservation:
    """Reserve and accept the job in one transaction, as a submit does. Raises `Conflict`."""

    def work(session: Any) -> None:
        reserve(control, session, reservation, PLACE, CLOCK)
        job = {"_id": reservation.job_id, "org_id": reservation.org_id, "state": "queued"}
        control.jobs.insert_one(job, session=session)

    control.transaction(work)
    return reservation


def end(control: ControlPlane, reservation: Reservation, state: str) -> None:
    """Bring the sign-up's job to *state*."""
    control.jobs.update_one({"_id": reservation.job_id}, {"$set": {"state": state}})
