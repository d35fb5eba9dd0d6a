"""Addresses of sources over HTTP: which are refused, and what their sentences say helps."""

import pytest

from tests.integration.web.conftest import Member
from tests.integration.web.test_sources import GITHUB, faults_of, make

ALLOWING = " unless the operator allows its host and port (FAIRWAY_INGEST_ALLOWED_HOSTS)."


@pytest.mark.parametrize(
    ("connector", "url"),
    [
        ("github_issues", "https://github.com/acme/website"),
        ("zendesk", "https://acme.zendesk.com/agent"),
        ("intercom", "https://api.intercom.io/conversations"),
    ],
)
def test_an_address_without_the_api_of_its_connector_is_refused(admin: Member, connector: str, url: str) -> None:
    asked = {"connector": connector, "base_url": url, "credentials": None}

    found = faults_of(admin("POST", "/v1/sources", json=GITHUB | asked))

    assert found["/base_url"].startswith("Must ")


def test_a_source_is_not_moved_off_the_api_of_its_connector(admin: Member) -> None:
    path = f"/v1/sources/{make(admin)['id']}"

    found = faults_of(admin("PATCH", path, json={"base_url": "https://api.github.com/acme/website"}))

    assert list(found) == ["/base_url"]


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        ("http://desk.internal:8080/x", "The address must begin with https://"),
        ("https://desk.internal:8080/x", "The address may name the ports 443 and 8443 only"),
        ("https://10.0.0.7/x", "10.0.0.7 is not on the public network"),
    ],
)
def test_what_the_operator_could_allow_says_so(admin: Member, url: str, begins: str) -> None:
    found = faults_of(admin("POST", "/v1/sources", json=GITHUB | {"base_url": url}))["/base_url"]

    assert found.startswith(begins)
    assert found.endswith(ALLOWING)


@pytest.mark.parametrize("url", ["gopher://desk.example", "https://127.1", "https://a@desk.example", "x"])
def test_what_nobody_could_allow_does_not(admin: Member, url: str) -> None:
    assert "FAIRWAY" not in faults_of(admin("POST", "/v1/sources", json=GITHUB | {"base_url": url}))["/base_url"]


def test_an_unknown_credential_is_told_those_that_there_are(admin: Member) -> None:
    found = faults_of(admin("POST", "/v1/sources", json=GITHUB | {"credentials": {"key": "x"}}))

    assert found == {"/credentials/key": "There is no such credential; it takes: token."}
