"""The operators' views of locks, limits and breakers, over HTTP and from the command line."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from common.config import Settings
from common.coordination.circuit_breaker import Target
from common.coordination.rate_limiter import SlidingWindow, TokenBucket, Turn
from common.errors import CircuitOpen, LockHeld
from common.ids import OrgId
from common.services import Services
from tests.integration.web.conftest import Member, items, problem_of

ROOT = Path(__file__).parents[3]
HERE = "/v1/operations"
LISTS = ("locks", "rate-limits", "circuit-breakers", "audit-log")
TARGET = Target("api.example", credential="key-1", tenant="acme")


def break_it(services: Services, target: Target = TARGET) -> None:
    for _ in range(5):
        with suppress(ConnectionError), services.breaker.guard(target):
            raise ConnectionError


@pytest.mark.parametrize("what", LISTS)
def test_only_operators_see_them(admin: Member, app: Flask, what: str) -> None:
    assert problem_of(admin("GET", f"{HERE}/{what}"), 403)["type"] == "/problems/forbidden"
    assert problem_of(app.test_client().get(f"{HERE}/{what}"), 401)["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize("what", LISTS[:3])
def test_only_operators_reset(admin: Member, app: Flask, what: str) -> None:
    assert problem_of(admin("POST", f"{HERE}/{what}/eA/reset"), 403)["type"] == "/problems/forbidden"
    assert (
        problem_of(app.test_client().post(f"{HERE}/{what}/eA/reset"), 401)["type"] == "/problems/unauthenticated"
    )


def test_a_lock_shows_who_holds_it_and_can_be_freed(operator: Member, services: Services) -> None:
    lease = services.locks.acquire("source:42 {*} 🦀", 60, holder="job 1")

    (shown,) = items(operator, "locks")
    freed = operator("POST", shown["links"]["reset"])

    assert (shown["name"], shown["holder"], shown["fence"]) == ("source:42 {*} 🦀", "job 1", str(lease.fence))
    assert shown["since"] < shown["until"]
    assert (freed.status_code, freed.get_json()["name"]) == (200, "source:42 {*} 🦀")
    assert items(operator, "locks") == []
    problem_of(operator("POST", shown["links"]["reset"]), 404)
    assert services.locks.acquire("source:42 {*} 🦀").fence > lease.fence


def test_a_saturated_limit_is_found_and_can_be_reset(operator: Member, services: Services) -> None:
    one, three = SlidingWindow(1, per_s=60), TokenBucket(3, per_s=60, burst=5)
    for name in ("busy.example", "quiet.example"):
        services.outside_limiter.take(name, three)
    services.outside_limiter.take("busy.example", one)
    services.outside_limiter.reserve("busy.example", one, turn=Turn("a", "1"))

    everything = items(operator, "rate-limits")
    (busy,) = items(operator, "rate-limits", saturated="true")
    reset = operator("POST", busy["links"]["reset"])

    assert len(everything) == 3
    assert (busy["purpose"], busy["name"], busy["permits"], busy["per_s"]) == ("outside", "busy.example", 1, 60)
    assert (busy["remaining"], busy["waiting"]) == (0, 1)
    assert {one["permits"]: one["remaining"] for one in everything if one["name"] == "quiet.example"} == {3: 4}
    assert reset.status_code == 200
    assert items(operator, "rate-limits", saturated="true") == []


def test_a_penalty_is_shown_with_its_end_and_can_be_lifted(operator: Member, services: Services) -> None:
    limit = SlidingWindow(5, per_s=60)
    services.outside_limiter.penalize("api.example", 600, credential="acme:key")

    (held,) = items(operator, "rate-limits", saturated="true")
    operator("POST", held["links"]["reset"])

    assert (held["credential"], held["permits"]) == ("acme:key", None)
    assert held["held_until"] is not None
    assert services.outside_limiter.take("api.example", limit, credential="acme:key").allowed


def test_a_breaker_shows_its_state_and_can_be_closed(operator: Member, services: Services) -> None:
    break_it(services)

    (shown,) = items(operator, "circuit-breakers")
    closed = operator("POST", shown["links"]["reset"])

    assert (shown["host"], shown["tenant"], shown["credential"]) == ("api.example", "acme", "key-1")
    assert shown["state"] == "open"
    assert shown["since"] < shown["until"]
    assert closed.status_code == 200
    with services.breaker.guard(TARGET):
        pass


def test_a_hosts_own_breaker_can_be_closed(operator: Member, services: Services) -> None:
    for number in range(3):
        break_it(services, Target("api.example", tenant=f"tenant-{number}"))
    healthy = Target("api.example", tenant="healthy")
    with pytest.raises(CircuitOpen), services.breaker.guard(healthy):
        pass

    (host,) = [one for one in items(operator, "circuit-breakers") if one["tenant"] is None]
    operator("POST", host["links"]["reset"])
    services.breaker._known.clear()

    with services.breaker.guard(healthy):
        pass


def test_every_change_is_audited(operator: Member, services: Services) -> None:
    services.locks.acquire("one")
    break_it(services)
    (lock,), (breaker,) = items(operator, "locks"), items(operator, "circuit-breakers")
    operator("POST", lock["links"]["reset"], headers={"X-Request-ID": "because-1"})
    operator("POST", breaker["links"]["reset"])

    newest, oldest = items(operator, "audit-log")

    assert (oldest["action"], oldest["subject"], oldest["actor"]) == ("lock.reset", "one", operator.user_id)
    assert (oldest["via"], oldest["request_id"]) == ("api", "because-1")
    assert newest["action"] == "circuit_breaker.reset"


@pytest.mark.parametrize("what", LISTS[:3])
def test_lists_are_paged(operator: Member, services: Services, what: str) -> None:
    for number in range(7):
        services.locks.acquire(f"lock {number}")
        services.outside_limiter.take(f"host-{number}", SlidingWindow(5, per_s=60))
        break_it(services, Target(f"host-{number}.example"))

    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = operator("GET", f"{HERE}/{what}", query_string=query).get_json()
        seen += [one["id"] for one in page["items"]]
        assert len(page["items"]) <= 3
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("what", LISTS[:3])
@pytest.mark.parametrize(
    "one_id",
    ["eA", "%00", "!!!", "x" * 9000, base64.urlsafe_b64encode(b"\xff\xfe").decode(), "ZmFpcndheTptZW1vcnk", "Kg"],
)
def test_what_is_no_id_is_not_found(operator: Member, services: Services, what: str, one_id: str) -> None:
    services.memory.since_us()

    problem_of(operator("POST", f"{HERE}/{what}/{one_id}/reset"), 404)

    assert services.shared.exists("fairway:memory")


def test_a_reset_never_reaches_a_key_of_another_kind(operator: Member, services: Services) -> None:
    lease = services.locks.acquire("mine")
    (key,) = [one.decode() for one in services.shared.scan_iter(match="*held:mine")]
    one_id = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")

    for what in ("rate-limits", "circuit-breakers"):
        problem_of(operator("POST", f"{HERE}/{what}/{one_id}/reset"), 404)

    with pytest.raises(LockHeld):
        services.locks.acquire("mine")
    services.locks.renew(lease)


def test_without_redis_it_is_said(operator: Member, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(services.shared, "scan_iter", away)

    for what in LISTS[:3]:
        assert "Redis" in problem_of(operator("GET", f"{HERE}/{what}"), 503)["detail"]


@pytest.fixture
def operate(settings: Settings, services: Services) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return a function that runs the command line."""
    assert services.control is not None  # its collections are made
    given = {
        "MONGO_URL": settings.mongo_url.get_secret_value(),
        "BROKER_URL": settings.broker_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "CONTROL_DATABASE": settings.control_database,
        "DATA_DATABASES": ",".join(settings.data_databases),
        "DATA_DIR": str(settings.data_dir),
    }
    environment = {**os.environ, **{f"FAIRWAY_{name}": value for name, value in given.items()}}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "web.operate", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_command_line_shows_the_same(
    operate: Callable[..., "subprocess.CompletedProcess[str]"], operator: Member, services: Services, org_id: OrgId
) -> None:
    services.locks.acquire("source:42", holder=f"job of {org_id}")
    break_it(services)
    services.outside_limiter.take("api.example", SlidingWindow(1, per_s=60))

    shown = {what: json.loads(operate("--json", what).stdout) for what in LISTS[:3]}
    table = operate("locks")
    freed = operate("reset-lock", "source:42")
    closed = operate("--json", "reset-circuit-breaker", shown["circuit-breakers"][0]["key"])
    log = json.loads(operate("--json", "audit-log").stdout)

    (lock,) = shown["locks"]
    assert (lock["name"], lock["holder"]) == ("source:42", f"job of {org_id}")
    assert shown["rate-limits"][0]["remaining"] == 0
    assert f"job of {org_id}" in table.stdout
    assert (freed.returncode, closed.returncode) == (0, 0)
    assert [one["action"] for one in log] == ["circuit_breaker.reset", "lock.reset"]
    assert {one["via"] for one in log} == {"command line"}
    assert items(operator, "locks") == []


def test_the_command_line_says_what_is_wrong(
    operate: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    missing, wrong, nothing = operate("reset-lock", "nobody"), operate("locks", "--limit", "0"), operate("locks")

    assert (missing.returncode, missing.stderr) == (3, "Nobody holds such a lock.\n")
    assert wrong.returncode == 2
    assert "--limit" in wrong.stderr
    assert (nothing.returncode, nothing.stdout) == (0, "Nothing.\n")
