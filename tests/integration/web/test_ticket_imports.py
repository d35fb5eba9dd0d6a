"""Imports over HTTP: under which names a file's tickets may be kept."""

from io import BytesIO

import pytest
from werkzeug.test import TestResponse

from common.services import Services
from tests.integration.web.conftest import Member, problem_of

UUID = "01920f3c-8a4e-7b2f-8c1d-00000000001a"


def import_as(who: Member, source: str) -> TestResponse:
    """Import a file whose external ids are those of *source*."""
    return who(
        "POST", "/v1/tickets/imports", data={"file": (BytesIO(b"message\nhello\n"), "a.csv"), "source": source}
    )


@pytest.mark.parametrize("source", ["manual", UUID, UUID.upper(), "00000000-0000-0000-0000-000000000000"])
def test_a_name_that_others_make_tickets_under_is_refused_and_nothing_is_kept(
    admin: Member, services: Services, source: str
) -> None:
    answer = import_as(admin, source)

    (fault,) = problem_of(answer, 422)["errors"]
    assert (fault["pointer"], "takes no imports; choose a name" in fault["detail"]) == ("/source", True)
    assert services.jobs.page(admin.org_id, limit=10) == []
    assert not list((services.settings.data_dir / "blobs").rglob("*-*"))


def test_the_id_of_a_source_is_no_name_for_an_import(admin: Member) -> None:
    asked = {"name": "Ours", "connector": "github_issues", "base_url": "https://api.github.com/repos/acme/website"}
    made = admin("POST", "/v1/sources", json=asked | {"credentials": {"token": "a-token"}}).json

    answer = import_as(admin, made["id"])

    assert problem_of(answer, 422)["errors"][0]["pointer"] == "/source"


@pytest.mark.parametrize("source", ["import", "Manual", "manual 2", "helpdesk", UUID[:-1], f"old {UUID}"])
def test_any_other_name_is_taken(admin: Member, source: str) -> None:
    assert import_as(admin, source).status_code == 202
