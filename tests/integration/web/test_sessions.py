"""Signing in and staying so: refresh, reuse, revocation; and what a credential is worth when something changed."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient

from common.config import Settings
from common.ids import PLATFORM, OrgId
from common.organizations import passwords, sessions
from common.organizations.passwords import hash_password
from common.organizations.person import Person
from common.services import Services
from tests.integration.conftest import make_person
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app

PASSWORD = "a long password of hers"
WITHIN_S = 5.0
Json = dict[str, Any]


@pytest.fixture(scope="module")
def hashed() -> str:
    """Return the hash of the password."""
    return hash_password(PASSWORD)


@pytest.fixture
def ada(services: Services, org_id: OrgId, hashed: str) -> Person:
    """Return an admin who knows her password."""
    return make_person(services, org_id, email="ada@acme.example", password_hash=hashed)


@pytest.fixture
def slug(services: Services, org_id: OrgId) -> str:
    """Return the organization's slug."""
    return services.registry.get(org_id).slug


@pytest.fixture
def signed_in(anonymous: FlaskClient, slug: str, ada: Person) -> Json:
    """Return the tokens of a sign-in."""
    asked = {"organization": slug, "email": ada.email, "password": PASSWORD}
    return answered(anonymous.post("/v1/auth/token", json=asked))


@pytest.fixture
def elsewhere(settings: Settings) -> Iterator[Callable[[str], int]]:
    """Return what another process answers to a token."""
    other = Services(settings)
    other.changes.listen()
    client = create_app(other).test_client()
    yield lambda token: look(client, token)
    other.close()


def answered(answer: Any) -> Json:
    assert answer.status_code == 200, answer.text
    found: Json = answer.json
    return found


def look(client: FlaskClient, token: str) -> int:
    """Return the status of a request with *token*."""
    return client.get("/v1/users", headers={"Authorization": f"Bearer {token}"}).status_code


def refreshed(client: FlaskClient, token: str) -> Any:
    return client.post("/v1/auth/refresh", json={"refresh_token": token})


def revoked_within(look_again: Callable[[], int]) -> float:
    """Return after how many seconds a credential was refused; fail if that takes more than five."""
    began = time.monotonic()
    while look_again() == 200:
        assert time.monotonic() - began < WITHIN_S
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_refresh_gives_the_next_pair(anonymous: FlaskClient, signed_in: Json) -> None:
    pair = answered(refreshed(anonymous, signed_in["refresh_token"]))

    assert pair["refresh_token"] != signed_in["refresh_token"]
    assert (look(anonymous, pair["access_token"]), look(anonymous, signed_in["access_token"])) == (200, 200)


def test_the_same_token_again_at_once_gives_the_same_successor(anonymous: FlaskClient, signed_in: Json) -> None:
    first, second = (answered(refreshed(anonymous, signed_in["refresh_token"])) for _ in range(2))

    assert first["refresh_token"] == second["refresh_token"]
    answered(refreshed(anonymous, second["refresh_token"]))


def test_twenty_at_once_get_one_successor(services: Services, signed_in: Json) -> None:
    together, found = threading.Barrier(20), []

    def use() -> None:
        together.wait()
        found.append(services.sessions.refresh(signed_in["refresh_token"]).refresh_token)

    threads = [threading.Thread(target=use) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(20)

    assert len(found) == 20
    assert len(set(found)) == 1


def test_a_token_that_is_used_again_later_ends_the_whole_session(
    anonymous: FlaskClient, signed_in: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    stolen = signed_in["refresh_token"]
    pair = answered(refreshed(anonymous, stolen))
    monkeypatch.setattr(sessions, "GRACE", sessions.GRACE * 0)

    problem_of(refreshed(anonymous, stolen), 401)

    problem_of(refreshed(anonymous, pair["refresh_token"]), 401)
    assert look(anonymous, pair["access_token"]) == 401


def test_one_from_two_generations_ago_ends_it_also_within_the_grace(
    anonymous: FlaskClient, signed_in: Json
) -> None:
    pair = answered(refreshed(anonymous, signed_in["refresh_token"]))
    answered(refreshed(anonymous, pair["refresh_token"]))

    problem_of(refreshed(anonymous, signed_in["refresh_token"]), 401)

    assert look(anonymous, pair["access_token"]) == 401


@pytest.mark.parametrize(
    "forge",
    [
        lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"),
        lambda t: t.upper(),
        lambda t: t + " ",
        lambda t: t + "\n",
        lambda t: t.replace(".1.", ".2."),
        lambda t: t.replace(".1.", ".01."),
        lambda t: t.rsplit(".", 1)[0],
        lambda _: "fwr_",
        lambda _: "x",
        lambda _: "fwr_00000000-0000-7000-8000-000000000000.1." + "A" * 43,
    ],
)
def test_a_forged_refresh_token_does_not_hold_and_ends_nothing(
    anonymous: FlaskClient, signed_in: Json, forge: Callable[[str], str]
) -> None:
    problem_of(refreshed(anonymous, forge(signed_in["refresh_token"])), 401)

    assert look(anonymous, signed_in["access_token"]) == 200


def test_one_kind_of_token_is_never_taken_for_another(
    anonymous: FlaskClient, admin: Member, signed_in: Json
) -> None:
    key = admin("POST", "/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]}).json["token"]

    assert look(anonymous, signed_in["refresh_token"]) == 401
    for other in (signed_in["access_token"], key):
        problem_of(refreshed(anonymous, other[:200]), 401)
    problem_of(anonymous.post("/v1/auth/password", json={"token": key, "password": PASSWORD}), 404)


@pytest.mark.parametrize("how", ["revoke", "revoke-all"])
@pytest.mark.parametrize("with_redis", [True, False])
def test_an_ended_session_is_refused_on_every_process_within_five_seconds(
    *,
    anonymous: FlaskClient,
    services: Services,
    settings: Settings,
    signed_in: Json,
    elsewhere: Callable[[str], int],
    how: str,
    with_redis: bool,
) -> None:
    token = signed_in["access_token"]
    other = Services(settings)  # it hears nothing
    deaf = create_app(other).test_client()
    assert (elsewhere(token), look(deaf, token)) == (200, 200)
    if not with_redis:
        services.shared.connection_pool.disconnect()
        services.shared.connection_pool.connection_kwargs["port"] = 1

    ended = anonymous.post(f"/v1/auth/{how}", headers={"Authorization": f"Bearer {token}"})

    assert ended.status_code == 204
    assert look(anonymous, token) == 401
    took_s = revoked_within(lambda: elsewhere(token))
    deaf_s = revoked_within(lambda: look(deaf, token))
    print(f"{how}, Redis {with_redis}: refused after {took_s:.3f} s, by who hears nothing after {deaf_s:.3f} s")
    problem_of(refreshed(anonymous, signed_in["refresh_token"]), 401)
    other.close()


def test_revoke_all_ends_every_session_and_revoke_only_its_own(
    anonymous: FlaskClient, slug: str, ada: Person, signed_in: Json
) -> None:
    asked = {"organization": slug, "email": ada.email, "password": PASSWORD}
    second, third = (answered(anonymous.post("/v1/auth/token", json=asked)) for _ in range(2))

    anonymous.post("/v1/auth/revoke", headers={"Authorization": f"Bearer {second['access_token']}"})
    assert [look(anonymous, one["access_token"]) for one in (signed_in, second, third)] == [200, 401, 200]

    anonymous.post("/v1/auth/revoke-all", headers={"Authorization": f"Bearer {third['access_token']}"})
    assert [look(anonymous, one["access_token"]) for one in (signed_in, second, third)] == [401, 401, 401]


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"state": "disabled"}, 401), ({"role": "member"}, 200)],
)
def test_what_happens_to_a_person_counts_for_tokens_that_are_out(
    *,
    services: Services,
    ada: Person,
    signed_in: Json,
    elsewhere: Callable[[str], int],
    anonymous: FlaskClient,
    fields: Json,
    status: int,
) -> None:
    make_person(services, ada.org_id)  # so that she is not the last admin
    token = signed_in["access_token"]
    assert elsewhere(token) == 200

    services.people.change(services.people.get(ada.org_id, ada.user_id), fields, by="test")

    headers = {"Authorization": f"Bearer {token}"}
    assert look(anonymous, token) == status
    assert anonymous.post("/v1/users", json={"email": "x@acme.example"}, headers=headers).status_code in {401, 403}
    if status != 200:
        revoked_within(lambda: elsewhere(token))


def test_a_removed_person_and_a_deleted_organization_are_out(
    services: Services, ada: Person, signed_in: Json, anonymous: FlaskClient, slug: str
) -> None:
    make_person(services, ada.org_id)
    services.people.remove(services.people.get(ada.org_id, ada.user_id), by="test")

    assert look(anonymous, signed_in["access_token"]) == 401
    problem_of(refreshed(anonymous, signed_in["refresh_token"]), 401)
    asked = {"organization": slug, "email": ada.email, "password": PASSWORD}
    problem_of(anonymous.post("/v1/auth/token", json=asked), 401)


def test_a_person_has_so_many_sessions_and_the_oldest_ends(
    services: Services, ada: Person, signed_in: Json, anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MOST", 3)

    later = [services.sessions.begin(ada).access_token for _ in range(3)]

    assert look(anonymous, signed_in["access_token"]) == 401
    assert [look(anonymous, one) for one in later] == [200, 200, 200]


def test_who_was_disabled_signs_in_anew(
    services: Services, ada: Person, signed_in: Json, anonymous: FlaskClient
) -> None:
    make_person(services, ada.org_id)
    for state in ("disabled", "active"):
        services.people.change(services.people.get(ada.org_id, ada.user_id), {"state": state}, by="test")

    assert look(anonymous, signed_in["access_token"]) == 401
    problem_of(refreshed(anonymous, signed_in["refresh_token"]), 401)


def test_ones_own_sessions_are_listed_and_ended_one_by_one(
    services: Services, ada: Person, signed_in: Json, anonymous: FlaskClient, org_id: OrgId
) -> None:
    here = {"Authorization": f"Bearer {services.sessions.begin(ada).access_token}"}
    refreshed(anonymous, signed_in["refresh_token"])
    somebody = services.sessions.begin(make_person(services, org_id))

    current, other = anonymous.get("/v1/sessions", headers=here).json["items"]

    assert (current["is_current"], other["is_current"]) == (True, False)
    assert (current["refreshed_at"] is None, other["refreshed_at"] is None) == (True, False)
    assert anonymous.delete(f"/v1/sessions/{other['id']}", headers=here).status_code == 204
    assert look(anonymous, signed_in["access_token"]) == 401
    theirs = somebody.refresh_token.split("_")[1].split(".")[0]
    problem_of(anonymous.delete(f"/v1/sessions/{theirs}", headers=here), 404)
    assert len(anonymous.get("/v1/sessions", headers=here).json["items"]) == 1
    services.sessions.end_all(org_id, ada.user_id)
    assert services.sessions.page(org_id, ada.user_id, before=None, limit=5) == []


def test_a_hash_of_older_settings_is_made_anew_when_its_owner_signs_in(
    services: Services, org_id: OrgId, anonymous: FlaskClient, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=8 * 1024).hash(PASSWORD)
    bob = make_person(services, org_id, "member", email="bob@acme.example", password_hash=weak)
    asked = {"organization": slug, "email": "bob@acme.example", "password": PASSWORD}

    first = answered(anonymous.post("/v1/auth/token", json=asked))

    now = services.people.get(org_id, bob.user_id).password_hash
    assert now is not None
    assert now != weak
    assert not passwords.is_outdated(now)
    assert look(anonymous, first["access_token"]) == 200
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=16 * 1024))
    answered(anonymous.post("/v1/auth/token", json=asked))
    assert services.people.get(org_id, bob.user_id).password_hash != now


def test_an_operators_token_holds_in_their_networks_only(operator: Member) -> None:
    outside = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}

    assert operator("GET", "/v1/operations/queues").status_code == 200
    problem = problem_of(operator("GET", "/v1/operations/queues", **outside), 403)

    assert "FAIRWAY_OPERATOR_NETWORKS" in problem["detail"]
    assert operator.org_id == PLATFORM


def test_an_admins_sign_in_is_an_event_and_a_members_is_not(
    services: Services, admin: Member, org_id: OrgId
) -> None:
    services.sessions.begin(make_person(services, org_id, "member"))
    services.sessions.begin(make_person(services, org_id, "admin"))

    found = admin("GET", "/v1/events").json["items"]

    assert [one["type"] for one in found] == ["AdminLoggedIn"] * 2  # the one who asks, too
    assert [one["number"] for one in found] == [1, 2]


def test_a_stored_session_makes_no_token(services: Services, signed_in: Json) -> None:
    stored = str(services.control.sessions.find_one({}))

    assert signed_in["refresh_token"].split(".")[-1] not in stored
    assert signed_in["access_token"] not in stored


def test_the_key_set_verifies_our_tokens(anonymous: FlaskClient, signed_in: Json) -> None:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    answer = anonymous.get("/.well-known/jwks.json")
    said = jwt.decode(signed_in["access_token"], KeySet.import_key_set(answer.json), algorithms=["Ed25519"])

    assert said.claims["iss"] == "fairway"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert all(set(one) == {"kty", "crv", "x", "kid", "use", "alg"} for one in answer.json["keys"])
    again = anonymous.get("/.well-known/jwks.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_two_thousand_wrong_passwords_from_one_address_lock_nobody_out(
    slug: str, ada: Person, settings: Settings
) -> None:
    limited = Services(settings.model_copy(update={"rate_limits": "on"}))
    client = create_app(limited).test_client()
    asked = {"organization": slug, "email": ada.email, "password": "wrong, but long enough"}
    attacker = {"REMOTE_ADDR": "203.0.113.9"}

    statuses = [client.post("/v1/auth/token", json=asked, environ_base=attacker).status_code for _ in range(2_000)]

    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 20
    own = {**asked, "password": PASSWORD}
    answered(client.post("/v1/auth/token", json=own, environ_base={"REMOTE_ADDR": "198.51.100.1"}))
    limited.close()
