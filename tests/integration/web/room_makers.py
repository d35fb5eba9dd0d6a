"""Rooms for tests, made as callers make them."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from common.ids import OrgId
from common.services import Services
from common.tenancy.collections import TenantCollection
from tests.integration.web.conftest import Member

Json = dict[str, Any]
ANY = {"If-Match": "*"}


def make_room(owner: Member, name: str = "A room", **more: Any) -> Json:
    """Make a room as *owner*."""
    answer = owner("POST", "/v1/rooms", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    made: Json = answer.get_json()
    return made


def let_in(owner: Member, room_id: str, who: Member, role: str) -> None:
    """Give somebody a role in a room."""
    path = f"/v1/rooms/{room_id}/members/{who.user_id}"
    answer = owner("PUT", path, json={"role": role}, headers=ANY)
    assert answer.status_code in {200, 201}, answer.text


def entries(who: Member, **query: Any) -> list[Json]:
    """Return the first page of the audit log."""
    answer = who("GET", "/v1/audit-log", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.get_json()["items"]
    return found


def stored(services: Services, org_id: OrgId, collection: TenantCollection) -> list[Json]:
    """Return what an organization has in a collection."""
    return list(services.scope(org_id)[collection].find({}))


def at_once(works: Sequence[Callable[[], object]]) -> None:
    """Do all of *works* at the same moment."""
    together = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> None:
        together.wait()
        work()

    threads = [threading.Thread(target=begin, args=(work,)) for work in works]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
