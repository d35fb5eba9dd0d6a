"""The compose file's own commands and health checks, in production's environment with its users and secrets."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
import redis
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from common.config import Settings
from common.tenancy.connection import abort_idle_transactions, connect
from tests.acceptance.composed import OURS, SERVICES, Composed
from tests.acceptance.test_stack import follow

CHECKED = [*OURS, "broker", "redis"]
PASSWORD = "only for this test"


@pytest.fixture(scope="module")
def before_and_after() -> Iterator[tuple[dict[str, tuple[int, str]], Composed]]:
    """Return what each service's check said before the services ran, and everything running."""
    composed = Composed(Path(tempfile.mkdtemp(prefix="fairway-composed-")))
    try:
        composed.start_servers()
        answers = {name: composed.check(name) for name in OURS}
        composed.start_services()
        until(lambda: all(composed.check(name).returncode == 0 for name in CHECKED), "health", composed)
        yield {name: (one.returncode, one.stderr) for name, one in answers.items()}, composed
    finally:
        composed.stop()
        shutil.rmtree(composed.folder, ignore_errors=True)


@pytest.fixture
def composed(before_and_after: tuple[dict[str, tuple[int, str]], Composed]) -> Composed:
    """Return everything running."""
    return before_and_after[1]


def until(reached: Callable[[], bool], what: str, composed: Composed) -> None:
    """Poll until *reached*."""
    deadline = time.monotonic() + 180
    while not reached():
        failing = {name: composed.check(name).stderr[-300:] for name in CHECKED if time.monotonic() > deadline}
        assert time.monotonic() < deadline, (what, failing, "\n".join(composed.lines[-60:]))
        time.sleep(0.2)


@pytest.mark.parametrize("name", OURS)
def test_a_check_says_in_a_sentence_that_its_service_is_not_there(
    before_and_after: tuple[dict[str, tuple[int, str]], Composed], name: str
) -> None:
    code, said = before_and_after[0][name]

    assert code == 1
    assert "Traceback" not in said or name == "flower"


@pytest.mark.parametrize("name", CHECKED)
def test_a_check_says_that_its_service_is_well(composed: Composed, name: str) -> None:
    assert composed.check(name).returncode == 0


def test_nothing_died_on_the_way(composed: Composed) -> None:
    assert composed.supervisor is not None

    restarts = {name: composed.supervisor.restarts_of(name) for name in OURS}
    assert restarts == dict.fromkeys(OURS, 0), "\n".join(composed.lines[:80])


def test_checks_leave_no_figures_behind(composed: Composed) -> None:
    folder = composed.folder / "figures" / "worker-tickets"
    before = set(folder.iterdir())

    composed.check("worker-tickets")

    assert set(folder.iterdir()) == before


def test_an_operator_makes_an_organization_and_its_admin_imports_tickets(composed: Composed) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{composed.ports['api']}", timeout=30) as client:
        body = {"name": "Acme", "admin": {"email": "ada@acme.example", "password": PASSWORD}}
        assert client.post("/v1/organizations", json=body).status_code == 403
        sign_in(client, "operator@fairway.example", composed.secret("operator_password"))
        job = follow(client, client.post("/v1/organizations", json=body).json()["id"])
        sign_in(client, "ada@acme.example", PASSWORD, organization=job["result"]["slug"])

        file = {"file": ("tickets.csv", b"subject,message\nOne,First\nTwo,Second\n")}
        imported = follow(client, client.post("/v1/tickets/imports", files=file).json()["id"])

        assert (imported["state"], imported["result"]["new"]) == ("succeeded", 2), imported
        assert client.get("/readyz").json() == {"status": "ready", "degraded": []}


def sign_in(client: httpx.Client, email: str, password: str, **organization: str) -> None:
    credentials = {"email": email, "password": password, **organization}
    answer = client.post("/v1/auth/token", json=credentials)
    assert answer.status_code == 200, answer.text
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def test_nobody_reaches_mongodb_without_a_user(composed: Composed) -> None:
    with (
        pymongo.MongoClient[Any](port=composed.ports["mongo"], directConnection=True) as client,
        pytest.raises(OperationFailure, match="authentication"),
    ):
        client.fairway.users.find_one()


@pytest.mark.parametrize(
    ("database", "command"),
    [
        ("admin", {"usersInfo": 1}),
        ("admin", {"shutdown": 1}),
        ("other", {"insert": "x", "documents": [{"a": 1}]}),
        ("fairway", {"createUser": "x", "pwd": "y", "roles": []}),
    ],
)
def test_the_platforms_user_of_mongodb_may_do_no_more_than_its_work(
    composed: Composed, database: str, command: dict[str, object]
) -> None:
    with (
        pymongo.MongoClient[Any](composed.secret("mongo_url")) as client,
        pytest.raises(OperationFailure, match="not authorized"),
    ):
        client[database].command(command)


def test_the_platforms_user_may_abort_what_a_dead_process_left_open(composed: Composed) -> None:
    left = connect(composed.secret("mongo_url"), "dead")
    alive = connect(composed.secret("mongo_url"), "alive")
    with left, alive, left.start_session() as session:
        session.start_transaction()
        left.fairway.leases.insert_one({"_id": "left-open"}, session=session)

        until(lambda: abort_idle_transactions(alive, 0.1) == 1 or is_over(session), "the abort", composed)

        with pytest.raises(OperationFailure):
            session.commit_transaction()


def is_over(session: ClientSession) -> bool:
    """Tell whether the sweeper was faster."""
    try:
        session.client.fairway.leases.find_one({"_id": "left-open"}, session=session)
    except OperationFailure:
        return True
    return False


def test_the_platforms_user_has_the_databases_of_the_settings(composed: Composed) -> None:
    defaults = Settings()
    with pymongo.MongoClient[Any](composed.secret("mongo_url")) as client:
        status = client.admin.command("connectionStatus", showPrivileges=False)

    granted = {role["db"] for role in status["authInfo"]["authenticatedUserRoles"]} - {"admin"}
    assert granted == {defaults.control_database, *defaults.data_databases}


@pytest.mark.parametrize("user", ["api", "worker", "sweeper"])
def test_a_user_of_the_other_redis_has_no_queues_there(composed: Composed, user: str) -> None:
    with redis.Redis.from_url(composed.secret(f"redis_url_{user}")) as client:
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.lpush("fairway.tickets", "x")


def test_flower_has_a_password_of_its_own_and_neither_mongodb_nor_keys(composed: Composed) -> None:
    url = f"http://127.0.0.1:{composed.ports['flower']}/workers"
    user, password = composed.secret("flower_login").split(":")

    assert httpx.get(url, auth=(user, password)).status_code == 200
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=(user, composed.secret("operator_password"))).status_code == 401
    assert SERVICES["flower"]["secrets"] == ["flower_login", "broker_url_flower"]
