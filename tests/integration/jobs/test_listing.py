"""Listing by any filter examines what it returns, however rare that is among the rest."""

import random
from datetime import timedelta
from typing import Any

import pytest
from common.probe.be_quick import BeQuick

from common.caller import Caller
from common.ids import OrgId, first_id_at, is_id, new_id
from common.jobs.record import STATES, new_document
from common.jobs.selection import Selection
from common.services import Services

COUNT = 2_000
PAGE = 20
KINDS = ("probe.be_quick", "family.rare")


@pytest.fixture
def filled(services: Services, caller: Caller, org_id: OrgId) -> OrgId:
    """Return an organization with many jobs, one a minute, of which few are what is looked for."""
    chance, now = random.Random(3), services.clock.now()
    document = new_document(
        caller, BeQuick(), org_id=org_id, job_id=new_id(), now=now, run_at=None, priority=None, tags=()
    )
    documents = []
    for number in range(COUNT):
        at = now - timedelta(minutes=COUNT - number)
        one = {
            "_id": first_id_at(at)[:-12] + f"{number:012x}",
            "created_at": at,
            "kind": KINDS[number % 40 == 0],
            "state": chance.choices(STATES, (1, 1, 1, 90, 5, 2))[0],
            "org_id": org_id if number % 3 else "another",
        }
        documents.append(document | one)
    services.control.jobs.insert_many(documents)
    return org_id


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("states", [(), ("succeeded",), ("failed",), ("running",)])
@pytest.mark.parametrize("hours", [None, 2, 24])
def test_a_list_examines_what_it_shows(
    services: Services, filled: OrgId, kind: str | None, states: tuple[str, ...], hours: int | None
) -> None:
    since = services.clock.now() - timedelta(hours=hours) if hours is not None else None
    for whose in ("one", "all"):
        selection = Selection(filled if whose == "one" else None, kind=kind, states=states, made_after=since)
        wanted = [one.id for one in services.jobs.select(selection, before=None, limit=PAGE)]

        plan: Any = services.jobs.cursor(selection, before=None, limit=PAGE).explain()["executionStats"]

        everything = services.jobs._jobs.find(
            {"kind": kind} if kind else {}, {"org_id": 1, "state": 1, "created_at": 1}
        )
        expected = [
            one["_id"]
            for one in everything.sort("_id", -1)
            if (whose == "all" or one["org_id"] == filled)
            and (not states or one["state"] in states)
            and (since is None or one["created_at"] >= since)
        ]
        assert wanted == expected[:PAGE]
        if whose == "one" or (kind is None and states != ("running",)):
            most = 3 * len(wanted) + len(STATES) + 2
            assert max(plan["totalKeysExamined"], plan["totalDocsExamined"]) <= most, plan


def test_an_id_of_an_instant_is_the_first_that_can_be_made_then(services: Services) -> None:
    now = services.clock.now()

    earlier, later = (first_id_at(now + timedelta(seconds=by)) for by in (-1, 1))

    assert is_id(first_id_at(now))
    assert earlier < new_id() < later
