"""Reservations: a slug is on its way to one organization only, and comes free when that came to nothing."""

import threading
from collections.abc import Callable

import pytest

from common.errors import Conflict
from common.organizations.sign_up import Reservation
from common.tenancy.control import ControlPlane
from tests.integration.organizations.conftest import end, sign_up, wanted


def test_a_slug_is_reserved_with_its_job(control: ControlPlane) -> None:
    asked = sign_up(control, wanted())

    kept = control.slugs.find_one({"_id": "acme"})
    assert kept is not None
    assert (kept["org_id"], kept["job_id"], kept["state"]) == (asked.org_id, asked.job_id, "reserved")
    assert kept["admin"]["email"] == "ada@acme.example"
    assert kept["admin"]["password_hash"] == "$argon2id$of-ada"


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "succeeded"])
def test_a_slug_on_its_way_is_taken_and_the_job_is_not_accepted(control: ControlPlane, state: str) -> None:
    first = sign_up(control, wanted())
    end(control, first, state)

    with pytest.raises(Conflict, match="acme is taken"):
        sign_up(control, wanted())
    assert [job["_id"] for job in control.jobs.find()] == [first.job_id]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_sign_up_that_came_to_nothing_may_be_taken_over(control: ControlPlane, state: str) -> None:
    end(control, sign_up(control, wanted()), state)

    second = sign_up(control, wanted())

    kept = control.slugs.find_one({"_id": "acme"})
    assert kept is not None
    assert (kept["org_id"], kept["job_id"]) == (second.org_id, second.job_id)


def test_a_reservation_whose_record_is_gone_may_be_taken_over(control: ControlPlane) -> None:
    first = sign_up(control, wanted())
    control.jobs.delete_one({"_id": first.job_id})

    second = sign_up(control, wanted())

    assert control.slugs.count_documents({"_id": "acme", "org_id": second.org_id}) == 1


def test_a_slug_that_became_an_organization_stays_taken(control: ControlPlane) -> None:
    first = sign_up(control, wanted())
    control.slugs.update_one({"_id": "acme"}, {"$set": {"state": "taken"}})
    end(control, first, "failed")

    with pytest.raises(Conflict):
        sign_up(control, wanted())


def test_of_many_who_ask_at_once_one_gets_a_free_slug(control: ControlPlane) -> None:
    won, lost = _at_once(8, lambda: sign_up(control, wanted()))

    assert (len(won), lost) == (1, 7)
    assert control.slugs.count_documents({"_id": "acme", "org_id": won[0].org_id}) == 1
    assert control.jobs.count_documents({}) == 1


def test_of_many_who_ask_at_once_one_takes_a_failed_sign_up_over(control: ControlPlane) -> None:
    end(control, sign_up(control, wanted()), "failed")

    won, lost = _at_once(8, lambda: sign_up(control, wanted()))

    assert (len(won), lost) == (1, 7)
    assert control.slugs.count_documents({"_id": "acme", "org_id": won[0].org_id}) == 1


def _at_once(how_many: int, ask: Callable[[], Reservation]) -> tuple[list[Reservation], int]:
    won: list[Reservation] = []
    lost: list[Conflict] = []
    together = threading.Barrier(how_many)

    def run() -> None:
        together.wait()
        try:
            won.append(ask())
        except Conflict as error:
            lost.append(error)

    threads = [threading.Thread(target=run) for _ in range(how_many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, len(lost)
