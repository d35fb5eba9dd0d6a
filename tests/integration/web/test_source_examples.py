"""The examples of the contract for a source: whoever sends them as they stand gets a source."""

import pytest

from tests.integration.web.conftest import Member


@pytest.mark.parametrize("name", ["github_issues", "rest"])
def test_an_example_of_the_contract_is_taken_as_it_stands(admin: Member, name: str) -> None:
    body = admin("GET", "/openapi.json").json["paths"]["/v1/sources"]["post"]["requestBody"]
    example = body["content"]["application/json"]["examples"][name]["value"]

    made = admin("POST", "/v1/sources", json=example)

    assert made.status_code == 201, made.text
    assert (made.json["connector"], made.json["has_credentials"]) == (name, True)
    assert made.json["config"] == example.get("config", {})


def test_the_example_of_each_field_makes_a_source(admin: Member) -> None:
    schemas = admin("GET", "/openapi.json").json["components"]["schemas"]
    fields = {name: one["example"] for name, one in schemas["NewSource"]["properties"].items() if "example" in one}

    made = admin("POST", "/v1/sources", json=fields)

    assert made.status_code == 201, made.text
    assert made.json["credential_fields"] == ["token"]
