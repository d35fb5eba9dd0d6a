"""People: found in their own organization only, and the operator whom the settings name."""

import threading
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.errors import DuplicateKeyError

from common.config import Settings
from common.errors import Misconfigured
from common.ids import PLATFORM, OrgId, new_id
from common.organizations.operator_account import ensure_operator
from common.organizations.passwords import verify_password
from common.organizations.person import find_person, person_document
from common.tenancy.control import ControlPlane
from tests.integration.organizations.conftest import CLOCK

US, THEM = OrgId(new_id()), OrgId(new_id())


def put(control: ControlPlane, org_id: OrgId, email: str = "ada@acme.example") -> None:
    """Put a person there."""
    person = person_document(
        user_id=new_id(), org_id=org_id, email=email, role="member", password_hash="x", clock=CLOCK
    )
    control.users.insert_one(person)


def test_one_address_may_be_in_two_organizations_and_once_in_each(control: ControlPlane) -> None:
    put(control, US)
    put(control, THEM)

    with pytest.raises(DuplicateKeyError):
        put(control, US)
    found = find_person(control, US, "ada@acme.example")
    assert found is not None
    assert found.org_id == US


def test_a_person_of_another_organization_is_nobody_here(control: ControlPlane) -> None:
    put(control, THEM)

    assert find_person(control, US, "ada@acme.example") is None
    assert find_person(control, PLATFORM, "ada@acme.example") is None


@pytest.mark.parametrize("hostile", [{"$ne": None}, {"$gt": ""}, {"$regex": "."}, None])
def test_an_operator_in_an_addresss_place_finds_nobody(control: ControlPlane, hostile: Any) -> None:
    put(control, US)

    assert find_person(control, US, hostile) is None
    assert find_person(control, hostile, "ada@acme.example") is None


def test_the_first_operator_gets_a_password_that_is_told_once(control: ControlPlane, settings: Settings) -> None:
    told = ensure_operator(control, settings, CLOCK)

    assert told is not None
    assert len(told) >= 20
    assert ensure_operator(control, settings, CLOCK) is None
    operator = find_person(control, PLATFORM, settings.operator_email)
    assert operator is not None
    assert operator.role == "operator"
    assert verify_password(operator.password_hash, told)
    assert told not in str(list(control.users.find()))


def test_a_password_that_is_set_is_not_told(control: ControlPlane, settings: Settings) -> None:
    chosen = settings.model_copy(update={"operator_password": SecretStr("correct horse")})

    assert ensure_operator(control, chosen, CLOCK) is None

    operator = find_person(control, PLATFORM, settings.operator_email)
    assert operator is not None
    assert verify_password(operator.password_hash, "correct horse")


@pytest.mark.parametrize(
    "wrong",
    [
        {"operator_email": "nobody"},
        {"operator_email": "a@b\u200b"},
        {"operator_password": SecretStr("canary")},
        {"operator_password": SecretStr("canary" * 100)},
    ],
)
def test_an_operator_who_can_not_be_is_named_and_nothing_is_written(
    control: ControlPlane, settings: Settings, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Misconfigured, match="FAIRWAY_OPERATOR_") as caught:
        ensure_operator(control, settings.model_copy(update=wrong), CLOCK)

    assert "canary" not in str(caught.value)
    assert control.users.count_documents({}) == 0


def test_of_processes_that_start_together_one_makes_the_operator(
    control: ControlPlane, settings: Settings
) -> None:
    told: list[str | None] = []
    together = threading.Barrier(2)

    def start() -> None:
        together.wait()
        told.append(ensure_operator(control, settings, CLOCK))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one is None for one in told) == [False, True]
    assert control.users.count_documents({}) == 1
