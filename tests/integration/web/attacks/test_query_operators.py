"""No operator of the query language passes for a value, and no id or limit is more than one."""

from typing import Any

import pytest

from common.services import Services
from tests.integration.web.attacks.conftest import Ask, Document, operations, places, put, real, with_json
from tests.integration.web.conftest import problem_of

OPERATORS: tuple[Any, ...] = (
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"$in": ["a"]},
    {"$exists": True},
    {"$where": "sleep(300)||true"},
    {"$expr": {"$function": {"body": "function(){}", "args": [], "lang": "js"}}},
    [{"$set": {"org_id": "x"}}],
    {"$oid": "0" * 24},
)


def test_no_operator_passes_for_a_value(document: Document, ask: Ask) -> None:
    tried = 0
    for method, path, body, role in with_json(document):
        for place in places(body):
            for operator in OPERATORS:
                answer = ask(role, method, real(path), json=put(body, place, operator))
                assert answer.status_code in {404, 412, 422}, (path, place, operator, answer.text)
                tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    "name", ["$where", "a.b", "__proto__", "constructor", "__class__", "$set", "a\u0000b", ""]
)
def test_no_name_of_a_field_is_taken_unasked(document: Document, ask: Ask, name: str) -> None:
    for method, path, body, role in with_json(document):
        answer = ask(role, method, real(path), json={**body, name: 1})
        assert answer.status_code in {404, 412, 422}, (path, name, answer.text)


@pytest.mark.parametrize(
    "one_id", ["null", "0" * 24, "g" * 24, "x" * 5_000, "%00", "*", "%7B%7D", "$ne", "%F0%9F%98%80"]
)
def test_what_is_no_id_leads_nowhere(document: Document, ask: Ask, one_id: str) -> None:
    for method, path, operation in operations(document):
        if "_id}" in path:
            role = "operator" if operation["tags"][0].startswith("Operators") else "admin"
            names = [part for part in path.split("/") if part.startswith("{")]
            sent = path.replace(names[0], one_id)
            assert ask(role, method, sent, json={}).status_code in {404, 405, 422}, sent


@pytest.mark.parametrize("limit", ["-1", "0", str(2**63), "1e3", "0x10", "1.0", "NaN", "", "9" * 10_000])
def test_a_limit_is_a_small_number(document: Document, ask: Ask, limit: str) -> None:
    for method, path, operation in operations(document):
        if any(one["name"] == "limit" for one in operation.get("parameters", ())) and "{job" not in path:
            role = "operator" if operation["tags"][0].startswith("Operators") else "admin"
            sent = real(path).replace("{queue}", "tickets")
            answer = ask(role, method, sent, query_string={"limit": limit})
            assert problem_of(answer, 422)["errors"][0]["parameter"] == "limit", path


def test_javascript_is_off_in_the_server(services: Services) -> None:
    from pymongo.errors import OperationFailure

    with pytest.raises(OperationFailure):
        services.control.jobs.find_one({"$where": "true"})
