"""A ticket looked up by what its source calls it: exactly, and at the cost of the one."""

from common.ids import OrgId
from common.services import Services
from common.tickets.selection import Selection
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.test_tickets_listed import explained, put
from tests.integration.web.ticket_makers import messages


def test_a_ticket_is_found_by_the_external_id_that_its_source_gave(
    admin: Member, services: Services, org_id: OrgId
) -> None:
    scope = services.scope(org_id)
    for number in range(3):
        put(scope, number)
        put(scope, number, source_id="other", message="another's")
    put(scope, 4, external_id=None, natural_key="content:1")

    assert messages(admin, source_id="desk", external_id="1") == ["ticket 1"]
    assert messages(admin, source_id="desk", external_id="1", q="ticket", status="open") == ["ticket 1"]
    for absent in ("01", "1 ", "content:1", "id:1"):
        assert messages(admin, source_id="desk", external_id=absent) == []
    assert messages(admin, source_id="desk", external_id="1", deleted="true") == []


def test_it_is_looked_up_in_an_index_however_many_there_are(services: Services, org_id: OrgId) -> None:
    scope = services.scope(org_id)
    for number in range(300):
        put(scope, number)

    plan = explained(services, org_id, Selection(source_id="desk", external_id="7"), None)

    assert (plan["nReturned"], plan["totalDocsExamined"]) == (1, 1)


def test_an_external_id_without_its_source_is_refused(admin: Member) -> None:
    (fault,) = problem_of(admin("GET", "/v1/tickets?external_id=4711"), 422)["errors"]

    assert fault["parameter"] == "external_id"
    assert "source_id" in fault["detail"]


def test_an_external_id_has_its_bounds(admin: Member) -> None:
    for wrong in ("", "x" * 256):
        problem_of(admin("GET", f"/v1/tickets?source_id=desk&external_id={wrong}"), 422)
    assert messages(admin, source_id="desk", external_id="x" * 255) == []
