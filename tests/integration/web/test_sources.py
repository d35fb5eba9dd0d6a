"""Sources over HTTP: set up, shown without their secrets, changed and deleted."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.ids import new_id
from common.services import Services
from common.sources import sources
from common.sources.collections import SOURCE_RUNS, SOURCE_SECRETS, SOURCES
from common.sources.sources import SOURCES_MOST
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.room_makers import at_once, stored

Json = dict[str, Any]
TOKEN = "ghp-canary-4711"
GITHUB: Json = {
    "name": "Issues of our website",
    "connector": "github_issues",
    "base_url": "https://api.github.com/repos/acme/website",
    "credentials": {"token": TOKEN},
}
ELSEWHERE = "https://api.github.example/repos/acme/website"


def make(who: Member, **fields: Any) -> Json:
    """Set up a source."""
    answer = who("POST", "/v1/sources", json=GITHUB | fields)
    assert answer.status_code == 201, answer.text
    made: Json = answer.get_json()
    return made


def faults_of(answer: TestResponse) -> dict[str, str]:
    """Return what is wrong, by pointer."""
    return {one["pointer"]: one["detail"] for one in problem_of(answer, 422)["errors"]}


def test_a_source_is_set_up_and_shown_without_its_secrets(admin: Member) -> None:
    answer = admin("POST", "/v1/sources", json=GITHUB | {"rate_limit": {"limit": 30, "per_s": 60}})

    assert answer.status_code == 201, answer.text
    made = answer.get_json()
    assert answer.headers["Location"] == f"/v1/sources/{made['id']}"
    assert (made["has_credentials"], made["credential_fields"]) == (True, ["token"])
    assert (made["page_size"], made["rate_limit"]) == (100, {"limit": 30, "per_s": 60})
    shown = admin("GET", f"/v1/sources/{made['id']}")
    assert shown.get_json() == made
    assert shown.headers["ETag"] == answer.headers["ETag"]
    assert TOKEN not in answer.text + shown.text + admin("GET", "/v1/sources").text


def test_no_secret_is_kept_in_clear(admin: Member, services: Services) -> None:
    admin("POST", "/v1/sources", json=GITHUB, headers={"Idempotency-Key": "once"})

    kept = [*stored(services, admin.org_id, SOURCES), *stored(services, admin.org_id, SOURCE_SECRETS)]
    kept += [*services.control.idempotency.find({}), *services.control.audit.find({})]
    assert len(kept) >= 3
    assert TOKEN not in repr(kept)


def test_a_secret_can_be_opened_for_its_own_source_only(admin: Member, services: Services) -> None:
    mine, other = make(admin), make(admin)
    scope = services.scope(admin.org_id)
    (fields,) = (one["fields"] for one in scope[SOURCE_SECRETS].find({"_id": mine["id"]}))

    scope[SOURCE_SECRETS].update_one({"_id": other["id"]}, {"$set": {"fields": fields}})

    assert services.sources.credentials(admin.org_id, mine["id"]) == {"token": TOKEN}
    with pytest.raises(Exception, match="decrypts"):
        services.sources.credentials(admin.org_id, other["id"])


def test_the_same_key_sets_up_one_source(admin: Member) -> None:
    first, again = (
        admin("POST", "/v1/sources", json=GITHUB, headers={"Idempotency-Key": "once"}) for _ in range(2)
    )

    assert first.get_json() == again.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(admin("GET", "/v1/sources").json["items"]) == 1


def test_another_secret_under_the_same_key_is_another_request(admin: Member) -> None:
    headers = {"Idempotency-Key": "once"}
    admin("POST", "/v1/sources", json=GITHUB, headers=headers)

    answer = admin("POST", "/v1/sources", json=GITHUB | {"credentials": {"token": "b"}}, headers=headers)

    assert problem_of(answer, 422)["type"] == "/problems/idempotency-key-reused"


def test_who_was_cut_off_gets_that_very_source_by_asking_again(
    admin: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "once"}
    with monkeypatch.context() as dying:
        dying.setattr(services.sources, "_make", lambda *_: 1 / 0)
        assert admin("POST", "/v1/sources", json=GITHUB, headers=headers).status_code == 500

    again = admin("POST", "/v1/sources", json=GITHUB, headers=headers)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert admin("GET", again.headers["Location"]).get_json() == again.get_json()
    assert services.sources.credentials(admin.org_id, again.json["id"]) == {"token": TOKEN}


def test_a_repeated_request_brings_no_deleted_source_back(admin: Member) -> None:
    headers = {"Idempotency-Key": "once"}
    path = admin("POST", "/v1/sources", json=GITHUB, headers=headers).headers["Location"]
    admin("DELETE", path)

    assert admin("POST", "/v1/sources", json=GITHUB, headers=headers).status_code == 201

    problem_of(admin("GET", path), 404)


INSIDE = (
    "http://127.0.0.1:6379",
    "https://localhost/x",
    "https://0.0.0.0",
    "https://127.1",
    "https://2130706433",
    "https://0x7f.1",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[fd00:ec2::254]",
    "https://[64:ff9b::7f00:1]",
    "https://169.254.169.254/latest",
    "file:///etc/passwd",
    "gopher://example.com",
    "https://good@evil.example",
    "https://evil.example#good",
    "https://good\\@evil.example",
    "https://api.github.com:22",
    "http://api.github.com",
    "https://api.github.com./",
    "https://api.github.com/?token=x",
    "x",
)


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_that_may_not_be_called_is_refused_with_a_sentence(admin: Member, url: str) -> None:
    found = faults_of(admin("POST", "/v1/sources", json=GITHUB | {"base_url": url}))

    assert list(found) == ["/base_url"]
    assert found["/base_url"].endswith(".")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"connector": "carrier_pigeon"}, "/connector"),
        ({"name": " "}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"page_size": 101}, "/page_size"),
        ({"page_size": 0}, "/page_size"),
        ({"page_size": "10"}, "/page_size"),
        ({"rate_limit": {"limit": 61, "per_s": 60}}, "/rate_limit"),
        ({"rate_limit": {"limit": 60, "per_s": 30}}, "/rate_limit"),
        ({"rate_limit": {"limit": 0, "per_s": 30}}, "/rate_limit/limit"),
        ({"rate_limit": {"limit": True, "per_s": 30}}, "/rate_limit/limit"),
        ({"rate_limit": {"limit": 1}}, "/rate_limit/per_s"),
        ({"every_minutes": 4}, "/every_minutes"),
        ({"every_minutes": 10_081}, "/every_minutes"),
        ({"config": {"nothing": 1}}, "/config/nothing"),
        ({"config": {"$where": 1}}, "/config/$where"),
        ({"config": {"nothing": "x" * 20_000}}, "/config"),
        ({"credentials": {"pass/word": "x"}}, "/credentials/pass~1word"),
        ({"credentials": {"token": "x\r\nHost: evil"}}, "/credentials/token"),
        ({"credentials": {"token": "x" * 5_000}}, "/credentials/token"),
        (
            {"connector": "intercom", "credentials": {}},
            "/credentials/token",
        ),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_each_fault_is_named_by_its_pointer(admin: Member, fields: Json, pointer: str) -> None:
    found = faults_of(admin("POST", "/v1/sources", json=GITHUB | fields))

    assert pointer in found
    assert admin("GET", "/v1/sources").json["items"] == []


def test_all_that_is_wrong_is_said_at_once(admin: Member) -> None:
    asked = GITHUB | {"base_url": "https://127.0.0.1", "page_size": 500, "credentials": {"key": "x"}}

    assert set(faults_of(admin("POST", "/v1/sources", json=asked))) == {
        "/base_url",
        "/page_size",
        "/credentials/key",
    }


def test_no_fault_repeats_a_secret(admin: Member) -> None:
    answer = admin("POST", "/v1/sources", json=GITHUB | {"credentials": {"token": f"{TOKEN}\n"}})

    assert answer.status_code == 422
    assert TOKEN not in answer.text


def test_a_list_is_paged_from_the_newest_on(admin: Member) -> None:
    ids = [make(admin, name=str(number))["id"] for number in range(5)]

    pages = list(pages_of(admin, "/v1/sources?limit=2"))

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one["id"] for page in pages for one in page] == ids[::-1]


def test_a_change_is_made_for_the_version_that_was_read(admin: Member) -> None:
    made = make(admin)
    path = f"/v1/sources/{made['id']}"
    tag = admin("GET", path).headers["ETag"]

    changed = admin("PATCH", path, json={"name": "Another"}, headers={"If-Match": tag})

    assert changed.json["name"] == "Another"
    assert changed.headers["ETag"] != tag
    problem_of(admin("PATCH", path, json={"name": "A third"}, headers={"If-Match": tag}), 412)
    problem_of(admin("DELETE", path, headers={"If-Match": tag}), 412)
    assert admin("GET", path).json["name"] == "Another"


def test_a_run_that_comes_and_goes_leaves_an_etag_good_for_a_change_and_not_for_a_cache(admin: Member) -> None:
    made = make(admin)
    path = f"/v1/sources/{made['id']}"
    tag = admin("GET", path).headers["ETag"]
    admin("POST", f"{path}/ingestions", json={})

    assert admin("GET", path, headers={"If-None-Match": tag}).status_code == 200
    assert admin("PATCH", path, json={"name": "Another"}, headers={"If-Match": tag}).status_code == 200


def test_what_is_left_out_of_a_change_stays(admin: Member, services: Services) -> None:
    made = make(admin, every_minutes=60, rate_limit={"limit": 1, "per_s": 60})

    changed = admin("PATCH", f"/v1/sources/{made['id']}", json={"page_size": 10}).json

    same = made | {"page_size": 10, "updated_at": changed["updated_at"]}
    assert changed == same
    assert services.sources.credentials(admin.org_id, made["id"]) == {"token": TOKEN}


def test_null_takes_away_what_need_not_be(admin: Member, services: Services) -> None:
    made = make(admin, every_minutes=60, rate_limit={"limit": 1, "per_s": 60}, page_size=5)
    nothing = dict.fromkeys(("every_minutes", "rate_limit", "page_size", "credentials"))

    changed = admin("PATCH", f"/v1/sources/{made['id']}", json=nothing).json

    assert [changed[name] for name in ("every_minutes", "rate_limit", "page_size", "next_run_at")] == [
        None,
        None,
        100,
        None,
    ]
    assert (changed["has_credentials"], changed["credential_fields"]) == (False, [])
    assert stored(services, admin.org_id, SOURCE_SECRETS) == []


def test_a_connector_can_not_be_changed(admin: Member) -> None:
    made = make(admin)

    answer = admin("PATCH", f"/v1/sources/{made['id']}", json={"connector": "zendesk"})

    assert faults_of(answer) == {"/connector": "Unknown field."}


def test_a_secret_is_never_shown_to_another_host(admin: Member, services: Services) -> None:
    made = make(admin)
    path = f"/v1/sources/{made['id']}"

    answer = admin("PATCH", path, json={"base_url": ELSEWHERE})

    assert list(faults_of(answer)) == ["/credentials"]
    assert admin("GET", path).get_json() == made
    sent = admin("PATCH", path, json={"base_url": ELSEWHERE, "credentials": {"token": "new"}})
    assert sent.json["base_url"] == ELSEWHERE
    assert services.sources.credentials(admin.org_id, made["id"]) == {"token": "new"}


@pytest.mark.parametrize(
    "url",
    ["https://api.github.com:8443/repos/acme/website", "https://API.github.com.evil.example/repos/acme/website"],
)
def test_another_port_and_another_name_are_another_host(admin: Member, url: str) -> None:
    made = make(admin)

    assert list(faults_of(admin("PATCH", f"/v1/sources/{made['id']}", json={"base_url": url}))) == ["/credentials"]


def test_another_path_on_the_same_host_keeps_the_secrets_and_begins_anew(
    admin: Member, services: Services
) -> None:
    made = make(admin)
    scope = services.scope(admin.org_id)
    scope[SOURCE_RUNS].update_one({"_id": made["id"]}, {"$set": {"watermark": "2026-01-31T09:30:00.000Z"}})

    changed = admin(
        "PATCH", f"/v1/sources/{made['id']}", json={"base_url": "https://API.github.com/repos/acme/other"}
    )

    assert changed.status_code == 200, changed.text
    assert services.sources.credentials(admin.org_id, made["id"]) == {"token": TOKEN}
    assert services.runs.state(scope, made["id"]).watermark is None
    assert services.sources.get(admin.org_id, made["id"]).generation == 1


def test_another_config_that_takes_other_credentials_needs_them(admin: Member) -> None:
    config = {
        "records": "/data",
        "fields": {"external_id": "/id", "message": "/text"},
        "paging": {"style": "link"},
    }
    by_token, by_password = ({"auth": {"style": style}} for style in ("bearer", "basic"))
    asked = {"name": "Ours", "connector": "rest", "base_url": "https://tickets.example"}
    body = asked | {"config": config | by_token, "credentials": {"token": TOKEN}}
    path = admin("POST", "/v1/sources", json=body).headers["Location"]

    found = faults_of(admin("PATCH", path, json={"config": config | by_password}))

    assert found
    assert all(pointer.startswith("/credentials") for pointer in found)
    assert TOKEN not in str(found)


@pytest.mark.parametrize(("was", "becomes"), [(1, True), (True, 1), (0, False)])
def test_a_config_that_differs_in_the_type_of_a_value_alone_is_kept(
    admin: Member, was: object, becomes: object
) -> None:
    config = {
        "records": "/data",
        "fields": {"external_id": "/id", "message": "/text"},
        "paging": {"style": "link"},
    }
    asked = {"name": "Ours", "connector": "rest", "base_url": "https://tickets.example"}
    made = admin("POST", "/v1/sources", json=asked | {"config": config | {"query": {"x": was}}})
    path = made.headers["Location"]

    changed = admin("PATCH", path, json={"config": config | {"query": {"x": becomes}}})

    assert changed.status_code == 200, changed.text
    shown = admin("GET", path)
    assert repr(shown.json["config"]["query"]["x"]) == repr(becomes)
    assert shown.headers["ETag"] == changed.headers["ETag"] != made.headers["ETag"]


def test_the_address_of_a_source_stays_while_it_is_run(admin: Member) -> None:
    made = make(admin)
    path = f"/v1/sources/{made['id']}"
    job = admin("POST", f"{path}/ingestions", json={}).json

    answer = admin("PATCH", path, json={"base_url": "https://api.github.com/repos/acme/other"})

    assert problem_of(answer, 409)["job"] == job["links"]["self"]
    assert admin("PATCH", path, json={"credentials": {"token": "new"}, "name": "Another"}).status_code == 200


def test_a_deleted_source_is_gone_with_its_secrets_and_its_run_is_stopped(
    admin: Member, services: Services
) -> None:
    made = make(admin, every_minutes=5)
    path = f"/v1/sources/{made['id']}"
    job = admin("POST", f"{path}/ingestions", json={}).json

    assert admin("DELETE", path).status_code == 204

    problem_of(admin("GET", path), 404)
    problem_of(admin("DELETE", path), 404)
    problem_of(admin("PATCH", path, json={"name": "x"}), 404)
    assert admin("GET", "/v1/sources").json["items"] == []
    assert admin("GET", f"/v1/jobs/{job['id']}").json["state"] == "cancelled"
    for collection in (SOURCE_SECRETS, SOURCE_RUNS):
        assert stored(services, admin.org_id, collection) == []


def test_members_look_and_run_and_change_nothing(admin: Member, member_of: Callable[..., Member]) -> None:
    member = member_of(admin.org_id, "member")
    path = f"/v1/sources/{make(admin)['id']}"

    assert member("GET", path).status_code == 200
    assert member("POST", f"{path}/ingestions", json={}).status_code == 202
    problem_of(member("POST", "/v1/sources", json=GITHUB), 403)
    problem_of(member("PATCH", path, json={"name": "x"}), 403)
    problem_of(member("DELETE", path), 403)


def test_another_organizations_source_is_absent(admin: Member, stranger: Member) -> None:
    path = f"/v1/sources/{make(admin)['id']}"

    for method, one, body in (
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/ingestions", {}),
    ):
        problem_of(stranger(method, one, json=body), 404)
    assert admin("GET", path).status_code == 200


def test_the_thousandth_source_is_the_last_however_many_are_asked_for(
    admin: Member, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SOURCES_MOST == 1_000
    monkeypatch.setattr(sources, "SOURCES_MOST", 5)
    for _ in range(3):
        make(admin)
    statuses: list[int] = []
    lock = threading.Lock()

    def ask() -> None:
        answer = Member(admin.http.application.test_client(), admin.org_id, admin.token)(
            "POST", "/v1/sources", json=GITHUB
        )
        with lock:
            statuses.append(answer.status_code)

    at_once([ask] * 6)

    assert sorted(statuses) == [201, 201, 409, 409, 409, 409]
    assert len(stored(services, admin.org_id, SOURCES)) == 5


def test_a_deleted_one_makes_room(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES_MOST", 1)
    made = make(admin)
    problem_of(admin("POST", "/v1/sources", json=GITHUB), 409)

    admin("DELETE", f"/v1/sources/{made['id']}")

    assert make(admin)["id"] != made["id"]


def test_a_source_from_an_archive_is_planned_again_by_its_first_change(admin: Member, services: Services) -> None:
    made = make(admin, every_minutes=60)
    path = f"/v1/sources/{made['id']}"
    for collection in (SOURCE_RUNS, SOURCE_SECRETS):  # what an archive has not
        services.scope(admin.org_id)[collection].delete_many({})
    restored = admin("GET", path).json
    assert [restored[name] for name in ("has_credentials", "next_run_at", "running_job")] == [False, None, None]

    changed = admin("PATCH", path, json={"every_minutes": 60}).json

    assert changed["next_run_at"] > restored["updated_at"]
    again = admin("PATCH", path, json={"every_minutes": 60, "name": "Another"}).json
    assert again["next_run_at"] == changed["next_run_at"]


def test_what_is_due_next_follows_the_interval(admin: Member) -> None:
    made = make(admin)
    assert made["next_run_at"] is None

    changed = admin("PATCH", f"/v1/sources/{made['id']}", json={"every_minutes": 5}).json

    assert changed["next_run_at"] > changed["updated_at"]
    assert admin("PATCH", f"/v1/sources/{new_id()}", json={"every_minutes": 5}).status_code == 404


def pages_of(who: Member, path: str) -> Iterator[list[Json]]:
    """Go through the pages of a list."""
    following: str | None = path
    while following is not None:
        answer = who("GET", following)
        assert answer.status_code == 200, answer.text
        yield answer.json["items"]
        link = answer.headers.get("Link")
        following = link.split(">")[0][1:] if link else None
