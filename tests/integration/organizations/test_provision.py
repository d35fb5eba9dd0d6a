"""Provisioning: organization and admin, or neither, wherever it is cut off and however often it is run."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from common.errors import JobFailed
from common.ids import new_id
from common.organizations import person, provision
from common.organizations.provision import ProvisionOrganization, make
from common.organizations.sign_up import Reservation
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Placement, plain, read_organization
from tests.integration.organizations.conftest import CLOCK, PLACE, end, sign_up, wanted

OURS = {provision.__file__, person.__file__}


class Killed(BaseException):
    """Stands for a process's death; nothing in our code catches it."""


def run(control: ControlPlane, reservation: Reservation, placement: Placement = PLACE) -> None:
    """Provision in one transaction, as the handler does."""
    job = ProvisionOrganization(org_id=reservation.org_id, slug=reservation.slug)
    control.transaction(lambda session: make(control, session, job, placement, CLOCK))


def exists(control: ControlPlane, reservation: Reservation) -> tuple[int, int, int]:
    """Count the organization, its admins, and its taken slug."""
    return (
        control.organizations.count_documents({"_id": reservation.org_id}),
        control.users.count_documents({"org_id": reservation.org_id, "role": "admin"}),
        control.slugs.count_documents({"_id": reservation.slug, "org_id": reservation.org_id, "state": "taken"}),
    )


def test_an_organization_gets_its_admin_its_slug_and_its_place(control: ControlPlane) -> None:
    asked = sign_up(control, wanted())

    run(control, asked)

    stored = control.organizations.find_one({"_id": asked.org_id})
    assert stored is not None
    made = read_organization(plain(stored))
    assert (made.name, made.slug, made.tier) == ("Acme", "acme", "free")
    assert (made.placement.mode, made.placement.database) == ("pooled", "data_1")
    admin = person.find_person(control, asked.org_id, "ada@acme.example")
    assert admin is not None
    assert (admin.role, admin.password_hash) == ("admin", "$argon2id$of-ada")
    assert exists(control, asked) == (1, 1, 1)


def test_the_hash_stands_with_the_person_alone_afterwards(control: ControlPlane) -> None:
    asked = sign_up(control, wanted())

    run(control, asked)

    everything_else = [control.slugs, control.organizations, control.jobs, control.fences]
    kept = [str(list(collection.find())) for collection in everything_else]
    assert not any("of-ada" in text or "ada@acme" in text for text in kept)


def test_a_second_run_changes_nothing(control: ControlPlane) -> None:
    asked = sign_up(control, wanted())
    run(control, asked)
    before = [list(collection.find()) for collection in (control.organizations, control.users, control.slugs)]

    run(control, asked, Placement("pooled", "data_2"))

    after = [list(collection.find()) for collection in (control.organizations, control.users, control.slugs)]
    assert before == after


def test_cut_off_at_any_line_it_leaves_neither_and_the_next_run_makes_both(control: ControlPlane) -> None:
    cut_off = 0
    for number in range(1, 500):
        asked = sign_up(control, wanted(f"acme-{number}"))
        with pytest.MonkeyPatch.context():
            was_cut = _cut_off_at(number, lambda asked=asked: run(control, asked))
        if not was_cut:
            break
        cut_off += 1
        assert exists(control, asked) == (0, 0, 0), number

        run(control, asked)

        assert exists(control, asked) == (1, 1, 1), number
    assert cut_off > 20
    assert exists(control, asked) == (1, 1, 1)


@pytest.mark.parametrize("cut_after", ["commit"])
def test_a_commit_whose_answer_was_lost_is_not_done_again(control: ControlPlane, cut_after: str) -> None:
    asked = sign_up(control, wanted())
    with pytest.raises(Killed):
        _then_die(lambda: run(control, asked))

    run(control, asked)

    assert exists(control, asked) == (1, 1, 1), cut_after


def test_a_slug_that_another_took_over_fails_the_job_and_writes_nothing(control: ControlPlane) -> None:
    first = sign_up(control, wanted())
    end(control, first, "failed")
    second = sign_up(control, wanted())

    with pytest.raises(JobFailed) as caught:
        run(control, first)

    assert caught.value.shown_code == "slug-taken"
    assert exists(control, first) == (0, 0, 0)
    run(control, second)
    assert exists(control, second) == (1, 1, 1)
    with pytest.raises(JobFailed):
        run(control, first)


def test_a_slug_that_an_organization_has_already_fails_the_job(control: ControlPlane) -> None:
    control.organizations.insert_one({"_id": new_id(), "slug": "acme"})
    asked = sign_up(control, wanted())

    with pytest.raises(JobFailed) as caught:
        run(control, asked)

    assert caught.value.shown_code == "slug-taken"
    assert exists(control, asked) == (0, 0, 0)


def _then_die(work: Any) -> None:
    work()
    raise Killed


def _cut_off_at(number: int, work: Any) -> bool:
    """Run *work* and raise `Killed` at the *number*-th line of ours that it executes; tell if it came so far."""
    lines: Iterator[int] = iter(range(1, sys.maxsize))

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in OURS:
            return None
        if event == "line" and next(lines) == number:
            raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False
