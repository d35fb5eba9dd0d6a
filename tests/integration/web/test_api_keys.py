"""API keys: what they may do, and that one which was changed, revoked or forgotten does nothing."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from common.clock import rfc3339
from common.config import Settings
from common.organizations import api_keys
from common.services import Services
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app

Json = dict[str, Any]


def make(who: Member, *scopes: str, **options: Any) -> Json:
    """Make a key and return the answer."""
    asked = {"name": "a machine", "scopes": list(scopes) or ["jobs:read"], **options}
    answer = who("POST", "/v1/api-keys", json=asked)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json
    return found


def ask(client: FlaskClient, token: str, path: str = "/v1/jobs", method: str = "GET", **options: Any) -> Any:
    return client.open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **options)


def test_a_key_does_what_its_scopes_say(admin: Member, anonymous: FlaskClient) -> None:
    token = make(admin, "jobs:read", "tickets:read")["token"]
    rehearse = {"path": "/v1/kinds/jobs.rehearse/jobs", "method": "POST", "json": {"payload": {}}}

    assert ask(anonymous, token).status_code == 200
    assert ask(anonymous, token, "/v1/tickets").status_code == 200
    assert "jobs:write" in problem_of(ask(anonymous, token, **rehearse), 403)["detail"]
    assert "organization:read" in problem_of(ask(anonymous, token, "/v1/events"), 403)["detail"]
    assert ask(anonymous, make(admin, "jobs:write")["token"], **rehearse).status_code == 202


def test_no_key_makes_keys_or_changes_people(admin: Member, anonymous: FlaskClient) -> None:
    token = make(admin, *api_keys.SCOPES, role="admin")["token"]

    for method, path in (("GET", "/v1/users"), ("POST", "/v1/api-keys"), ("POST", "/v1/auth/revoke")):
        assert "person" in problem_of(ask(anonymous, token, path, method, json={}), 403)["detail"]


def test_the_token_is_shown_once_and_stored_as_a_hash(admin: Member, services: Services) -> None:
    key = make(admin)

    assert "token" not in admin("GET", f"/v1/api-keys/{key['id']}").json
    assert key["token"] not in str(list(services.control.api_keys.find()))
    assert key["token"][-20:] not in str(list(services.control.idempotency.find()))


def test_a_key_of_one_organization_sees_nothing_of_another(
    admin: Member, stranger: Member, anonymous: FlaskClient
) -> None:
    key = make(admin)

    problem_of(stranger("GET", f"/v1/api-keys/{key['id']}"), 404)
    problem_of(stranger("DELETE", f"/v1/api-keys/{key['id']}"), 404)
    assert stranger("GET", "/v1/api-keys").json["items"] == []
    answer = anonymous.get(
        "/v1/jobs", headers={"Authorization": f"Bearer {key['token']}", "X-Tenant-Id": stranger.org_id}
    )
    assert answer.json["items"] == []


@pytest.mark.parametrize(
    "forge",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t[: t.rindex("_") + 1],
        lambda t: t.split("_")[0],
        str.upper,
        str.swapcase,
        lambda t: t + "a",
        lambda t: t + "%00",
        lambda t: t.replace("fwk_", "fwk__"),
        lambda _: "fwk_" + "0" * 36 + "_" + "A" * 43,
        lambda t: t * 100,
    ],
)
def test_a_key_that_was_tampered_with_does_not_hold(
    admin: Member, anonymous: FlaskClient, forge: Callable[[str], str]
) -> None:
    token = make(admin)["token"]

    problem = problem_of(ask(anonymous, forge(token)), 401)

    assert problem["type"] == "/problems/unauthenticated"
    assert token.split("_", 2)[2] not in str(problem)
    assert ask(anonymous, token).status_code == 200


def test_a_revoked_key_is_refused_on_every_process_within_five_seconds(
    admin: Member, anonymous: FlaskClient, settings: Settings
) -> None:
    key = make(admin)
    other, deaf = Services(settings), Services(settings)
    other.changes.listen()
    clients = [create_app(one).test_client() for one in (other, deaf)]
    assert [ask(one, key["token"]).status_code for one in clients] == [200, 200]

    assert admin("DELETE", f"/v1/api-keys/{key['id']}").status_code == 204

    assert ask(anonymous, key["token"]).status_code == 401
    began = time.monotonic()
    while [ask(one, key["token"]).status_code for one in clients] != [401, 401]:
        assert time.monotonic() - began < 5
    for one in (other, deaf):
        one.close()
    problem_of(admin("DELETE", f"/v1/api-keys/{key['id']}"), 404)


def test_a_key_ends_at_its_time(admin: Member, anonymous: FlaskClient, services: Services) -> None:
    soon = rfc3339(services.clock.now() + timedelta(seconds=0.7))
    token = make(admin, expires_at=soon)["token"]
    assert ask(anonymous, token).status_code == 200

    ends = time.monotonic() + 5
    while ask(anonymous, token).status_code == 200:
        assert time.monotonic() < ends

    assert "over" in problem_of(ask(anonymous, token), 401)["detail"]
    asked = {"name": "k", "scopes": ["jobs:read"], "expires_at": "2020-01-01T00:00:00Z"}
    problem_of(admin("POST", "/v1/api-keys", json=asked), 422)


def test_a_member_makes_members_keys_and_revokes_the_own(admin: Member, member_of: Callable[..., Member]) -> None:
    bob = member_of(admin.org_id, "member")
    theirs, own = make(admin), make(bob)

    problem_of(bob("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"], "role": "admin"}), 403)
    problem_of(bob("DELETE", f"/v1/api-keys/{theirs['id']}"), 403)
    assert bob("DELETE", f"/v1/api-keys/{own['id']}").status_code == 204


def test_an_organization_has_so_many_keys(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "KEYS_MOST", 3)
    for _ in range(3):
        make(admin)

    problem = problem_of(admin("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]}), 409)

    assert "Revoke one first" in problem["detail"]
    assert len(admin("GET", "/v1/api-keys").json["items"]) == 3


def test_a_key_says_when_it_was_used_last(admin: Member, anonymous: FlaskClient) -> None:
    used, unused = make(admin), make(admin)

    for _ in range(3):
        ask(anonymous, used["token"])

    ends = time.monotonic() + 5  # a majority has it a moment later
    while admin("GET", f"/v1/api-keys/{used['id']}").json["last_used_at"] is None:
        assert time.monotonic() < ends
    assert admin("GET", f"/v1/api-keys/{unused['id']}").json["last_used_at"] is None


def test_what_happens_to_keys_is_told_without_them(admin: Member) -> None:
    key = make(admin)
    admin("DELETE", f"/v1/api-keys/{key['id']}")

    found = [one for one in admin("GET", "/v1/events").json["items"] if one["type"].startswith("ApiKey")]

    assert [one["type"] for one in found] == ["ApiKeyCreated", "ApiKeyRevoked"]
    assert [one["data"] for one in found] == [{"api_key_id": key["id"]}] * 2
    page = admin("GET", f"/v1/events?after={found[0]['number']}").json["items"]
    assert [one["type"] for one in page] == ["ApiKeyRevoked"]


def test_two_thousand_wrong_keys_from_one_address_are_limited_and_the_right_one_still_works_elsewhere(
    admin: Member, settings: Settings
) -> None:
    token = make(admin)["token"]
    limited = Services(settings.model_copy(update={"rate_limits": "on"}))
    client = create_app(limited).test_client()

    def wrong(number: int) -> int:
        forged = f"fwk_{admin.user_id}_{number:043d}"
        headers = {"Authorization": f"Bearer {forged}"}
        return client.get("/v1/jobs", headers=headers, environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code

    statuses = [wrong(number) for number in range(2_000)]

    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= settings.address_requests_per_minute * 2
    assert ask(client, token).status_code == 200
    limited.close()
