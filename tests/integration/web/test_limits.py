"""Rate limits over HTTP: who counts for whom, what is shown, and what happens while their Redis is away."""

from collections.abc import Callable

import pytest
from common.probe.be_quick import BeQuick
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.config import Settings, load
from common.coordination.rate_limiter import RateLimiter
from common.errors import Misconfigured, Unavailable
from common.ids import PLATFORM, JobId, OrgId, new_id
from common.services import Services
from tests.integration.conftest import caller_of, make_organization, token_of
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app
from web.contract import limits

Remote = Callable[..., TestResponse]
SIGN_IN = {"organization": "nobody", "email": "ada@acme.example", "password": "a guess"}


@pytest.fixture
def limited(services: Services, settings: Settings) -> Services:
    """Turn the limits on, small enough to reach."""
    services.settings = settings.model_copy(
        update={
            "rate_limits": "on",
            "address_requests_per_minute": 4,
            "attempts_per_minute": 6,
            "account_attempts_per_minute": 3,
        }
    )
    return services


@pytest.fixture
def app(limited: Services) -> Flask:
    return create_app(limited)


@pytest.fixture
def other_process(limited: Services) -> FlaskClient:
    """Return a client of another process of the API."""
    return create_app(limited).test_client()


@pytest.fixture
def from_address(app: Flask) -> Remote:
    """Return a function that asks from an address."""

    def ask(address: str, path: str = "/v1/jobs", method: str = "GET", **options: object) -> TestResponse:
        return app.test_client().open(path, method=method, environ_base={"REMOTE_ADDR": address}, **options)

    return ask


def left(answer: TestResponse, name: str = "minute") -> int:
    """Return what the header says is left of a quota."""
    parts = dict(part.strip().split(";", 1) for part in answer.headers["RateLimit"].split(","))
    return int(parts[f'"{name}"'].split(";")[0].removeprefix("r="))


def test_every_answer_shows_the_quotas_and_how_they_stand(admin: Member) -> None:
    first, second = admin("GET", "/v1/jobs"), admin("GET", "/v1/nothing-here")

    assert first.headers["RateLimit-Policy"] == '"minute";q=100;w=60, "hour";q=1000;w=3600'
    assert (left(first), left(first, "hour")) == (99, 999)
    assert (second.status_code, left(second)) == (404, 98)


def test_who_is_over_is_told_when_to_come_again(admin: Member, stranger: Member, app: Flask) -> None:
    answers = [admin("GET", "/v1/jobs") for _ in range(101)]

    problem = problem_of(answers[100], 429)
    assert {answer.status_code for answer in answers[:100]} == {200}
    assert "100 in 60 s" in problem["detail"]
    assert 1 <= int(answers[100].headers["Retry-After"]) <= 61
    assert left(answers[100]) == 0
    assert stranger("GET", "/v1/jobs").status_code == 200
    assert app.test_client().get("/healthz").status_code == 200


def test_all_people_and_processes_of_an_organization_share_its_quota(
    admin: Member, member_of: Callable[[OrgId], Member], other_process: FlaskClient
) -> None:
    colleague = member_of(admin.org_id)

    counts = [
        left(admin("GET", "/v1/jobs")),
        left(colleague("GET", "/v1/jobs")),
        left(other_process.get("/v1/jobs", headers={"Authorization": f"Bearer {admin.token}"})),
    ]

    assert counts == [99, 98, 97]


def test_a_look_at_ones_own_job_costs_a_tenth(admin: Member, limited: Services) -> None:
    job = limited.submit(caller_of(admin.org_id), BeQuick())

    looks = [left(admin("GET", f"/v1/jobs/{job.id}")) for _ in range(11)]

    assert looks == [99] * 10 + [98]


@pytest.mark.parametrize(("tier", "quota"), [("free", 100), ("standard", 600), ("enterprise", 6000)])
def test_the_tier_sets_the_quota(
    limited: Services, member_of: Callable[[OrgId], Member], tier: str, quota: int
) -> None:
    org_id = make_organization(limited)
    limited.control.organizations.update_one({"_id": org_id}, {"$set": {"tier": tier}})

    answer = member_of(org_id)("GET", "/v1/jobs")

    assert f'"minute";q={quota};w=60' in answer.headers["RateLimit-Policy"]


def test_without_credentials_the_address_counts(from_address: Remote) -> None:
    answers = [from_address("192.0.2.1") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [401] * 4 + [429]
    assert answers[0].headers["RateLimit-Policy"] == '"address";q=4;w=60'
    assert from_address("192.0.2.2").status_code == 401


def test_a_forged_token_counts_for_its_address(from_address: Remote) -> None:
    forged = {"Authorization": "Bearer x.y.z"}

    codes = [from_address("192.0.2.1", headers=forged).status_code for _ in range(5)]

    assert codes == [401] * 4 + [429]


def test_addresses_of_one_subscriber_count_together(from_address: Remote) -> None:
    codes = [from_address(f"2001:db8:1:2::{n:x}").status_code for n in range(1, 6)]

    assert codes == [401] * 4 + [429]


def test_a_forwarded_address_is_not_believed(from_address: Remote) -> None:
    codes = [from_address("192.0.2.1", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(5)]

    assert codes == [401] * 4 + [429]


def test_guesses_at_one_account_are_few_and_lock_nobody_else_out(limited: Services) -> None:
    limited.settings = limited.settings.model_copy(update={"address_requests_per_minute": 1000})
    client = create_app(limited).test_client()

    def guess(address: str, email: str = "ada@acme.example") -> int:
        asked = {**SIGN_IN, "email": email}
        answer = client.post("/v1/auth/token", json=asked, environ_base={"REMOTE_ADDR": address})
        return answer.status_code

    assert [guess("192.0.2.1") for _ in range(4)] == [401, 401, 401, 429]
    assert guess("192.0.2.1", "ADA@acme.example") == 429
    assert guess("192.0.2.2") == 401
    assert [guess("192.0.2.1", f"{n}@acme.example") for n in range(2)] == [401, 429]


def test_what_is_shown_names_each_quota_that_counted(from_address: Remote) -> None:
    answer = from_address("192.0.2.1", "/v1/auth/token", "POST", json=SIGN_IN)

    names = [part.split(";")[0].strip() for part in answer.headers["RateLimit-Policy"].split(",")]
    assert names == ['"address"', '"sign-in"', '"sign-in-account"']


def test_no_name_in_redis_holds_a_persons_address(from_address: Remote, limited: Services) -> None:
    from_address("192.0.2.1", "/v1/auth/token", "POST", json=SIGN_IN)

    assert not [key for key in limited.shared.scan_iter() if b"ada" in key or b"acme" in key]


def test_while_redis_is_away_each_process_has_a_lower_cap(
    admin: Member, from_address: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(RateLimiter, "take", away)

    codes = [admin("GET", "/v1/jobs").status_code for _ in range(40)]

    assert codes.count(200) in {25, 26}  # one comes back every 2.4 s
    assert codes[-1] == 429
    assert [from_address("192.0.2.1").status_code for _ in range(2)] == [401, 429]


def test_the_shared_limit_is_back_when_redis_is(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(limits, "_QUIET_S", 0.0)
    with monkeypatch.context() as redis_away:
        redis_away.setattr(RateLimiter, "take", away)
        alone = left(admin("GET", "/v1/jobs"))

    assert (alone, left(admin("GET", "/v1/jobs"))) == (24, 99)


def test_the_token_of_a_sign_up_counts_like_a_free_organization(limited: Services, app: Flask) -> None:
    unmade = OrgId(new_id())
    token = limited.tokens.issue_job_token(unmade, new_id())  # type: ignore[arg-type]

    answer = app.test_client().get(f"/v1/jobs/{new_id()}", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 404
    assert '"minute";q=100;w=60' in answer.headers["RateLimit-Policy"]


def test_who_reads_one_job_of_the_platform_takes_nothing_from_the_operators(limited: Services, app: Flask) -> None:
    job_id = JobId(new_id())
    readers, operator = app.test_client(), token_of(limited, PLATFORM, "operator")

    def left(token: str) -> str:
        answer = readers.get(f"/v1/jobs/{job_id}", headers={"Authorization": f"Bearer {token}"})
        return answer.headers["RateLimit"]

    before = left(operator)
    for _ in range(30):
        left(limited.tokens.issue_job_token(PLATFORM, job_id))

    assert (
        '"minute";q=100;w=60'
        in readers.get(
            f"/v1/jobs/{job_id}",
            headers={"Authorization": f"Bearer {limited.tokens.issue_job_token(PLATFORM, job_id)}"},
        ).headers["RateLimit-Policy"]
    )
    assert left(operator).split(";")[1] == before.split(";")[1]


def test_limits_that_are_off_count_nothing(services: Services, org_id: OrgId) -> None:
    token = token_of(services, org_id)
    client = create_app(services).test_client()

    answers = [client.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"}) for _ in range(3)]

    assert all("RateLimit" not in answer.headers for answer in answers)
    assert services.shared.dbsize() == 0


def test_production_refuses_to_start_without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRWAY_ENV", "production")
    monkeypatch.setenv("FAIRWAY_RATE_LIMITS", "off")

    with pytest.raises(Misconfigured, match="RATE_LIMITS"):
        load()
