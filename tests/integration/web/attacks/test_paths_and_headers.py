"""Paths that climb, verbs that nobody knows, and headers that claim."""

import pytest
from common.probe.be_quick import BeQuick

from common.services import Services
from tests.integration.conftest import caller_of, make_organization
from tests.integration.web.attacks.conftest import Ask, Document, operations, role_for
from tests.integration.web.conftest import Member, problem_of


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/etc/passwd",
        "/..%252f",
        "/....//",
        "/C:%5C",
        "/assets/..%2fdocs.py",
        "/assets/../docs.py",
        "/assets/%2e%2e%2fserver.py",
        "/problems/..%2f..%2fetc",
        "/assets/docs.js%00.png",
        "//v1/jobs",
        "/v1//jobs",
        "/v1/jobs/.",
        "/v1/jobs;x",
        "/V1/JOBS",
        "/metrics",
        "/debug",
        "/console",
        "/.env",
        "/.git/config",
    ],
)
def test_no_path_leads_where_none_is(admin: Member, path: str) -> None:
    problem = problem_of(admin("GET", path), 404)

    assert "root:" not in str(problem)


@pytest.mark.parametrize("verb", ["TRACE", "CONNECT", "PROPFIND", "FOO"])
def test_an_unknown_verb_is_405_with_what_is_allowed(document: Document, admin: Member, verb: str) -> None:
    for path in document["paths"]:
        if "{" not in path:
            answer = admin(verb, path)
            problem_of(answer, 405)
            assert answer.headers["Allow"]


def test_a_verb_in_a_header_is_none(admin: Member, things: dict[str, str]) -> None:
    answer = admin("GET", f"/v1/jobs/{things['{job_id}']}", headers={"X-HTTP-Method-Override": "DELETE"})

    assert answer.status_code == 200


@pytest.mark.parametrize("given", ["a%0d%0aSet-Cookie:x", "a b", '{"a":1}', "x" * 1_000_000, "\t", "ä"])
def test_an_odd_request_id_is_replaced(admin: Member, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = admin("GET", "/v1/jobs", headers={"X-Request-ID": given})

    assert answer.headers["X-Request-ID"] != given
    assert "Set-Cookie" not in answer.headers
    assert given not in capsys.readouterr().out or given == "\t"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:99", "a b"])
def test_no_link_names_the_host_that_was_claimed(admin: Member, services: Services, host: str) -> None:
    for _ in range(2):
        services.submit(caller_of(admin.org_id), BeQuick())

    answer = admin("GET", "/v1/jobs?limit=1", headers={"Host": host, "X-Forwarded-Host": host})

    assert "evil" not in str(answer.headers)
    assert answer.status_code in {200, 400}


@pytest.mark.parametrize("given", ["*", '"a", "b"', 'W/"a"', "nonsense", '"' + "x" * 5_000 + '"'])
def test_an_etag_that_is_not_the_things_own_changes_nothing(
    operator: Member, services: Services, given: str
) -> None:
    org_id = make_organization(services)

    answer = operator(
        "PATCH", f"/v1/operations/organizations/{org_id}", json={"tier": "standard"}, headers={"If-Match": given}
    )

    assert answer.status_code == (200 if given == "*" else 412), answer.text  # RFC 9110: * is whatever is there
    assert services.registry.get(org_id, fresh=True).tier == ("standard" if given == "*" else "free")


@pytest.mark.parametrize("accepted", ["application/xml", "image/png", "text/csv;q=1"])
def test_who_wants_another_form_is_told(document: Document, admin: Member, accepted: str) -> None:
    for path in document["paths"]:
        if "{" not in path and "get" in document["paths"][path]:
            problem = problem_of(admin("GET", path, headers={"Accept": accepted}), 406)
            assert problem["type"] == "/problems/not-acceptable", path


@pytest.mark.parametrize("query", ["callback=x", "jsonp=x", "_method=DELETE", "access_token=x"])
def test_an_unknown_parameter_is_named_everywhere(document: Document, ask: Ask, query: str) -> None:
    for method, path, operation in operations(document):
        if "{" not in path:
            answer = ask(role_for(path, operation), method, f"{path}?{query}", json={})
            assert answer.status_code in {415, 422}, (method, path, answer.text)


def test_a_range_of_a_thousand_parts_is_ignored(admin: Member) -> None:
    answer = admin("GET", "/assets/docs.js", headers={"Range": "bytes=" + ",".join(["0-"] * 1_000)})

    assert answer.status_code == 200
