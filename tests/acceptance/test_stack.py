"""The whole stack over HTTP: sign up, sign in, import, look; and Flower, metrics and logs beside it."""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from common.probe.be_quick import BeQuick
from common.probe.leave_marks import LeaveMarks

from common.ids import JobId, OrgId
from common.jobs.record import JobRecord
from common.services import Services
from tests.acceptance.conftest import OPERATOR_PASSWORD, Running
from tests.integration.conftest import caller_of, make_organization

PASSWORD = "a canary that nothing may keep: kanarienvogel-4711"
CSV = b"subject,message,extra\nOne,First message,$state\nTwo,,x\nOne,First message,$state\n"


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    """Return a client that is signed in as the admin of a fresh organization."""
    with httpx.Client(base_url=running.stack.url, timeout=30) as made:
        body = {"name": "Acme", "admin": {"email": "ada@acme.example", "password": PASSWORD}}
        answer = made.post("/v1/organizations", json=body, headers={"X-Request-ID": "sign-up-1"})
        assert answer.status_code == 202, answer.text
        job, token = answer.json(), answer.json()["job_token"]
        job = follow(made, job["id"], {"Authorization": f"Bearer {token}"})
        assert job["state"] == "succeeded", job
        credentials = {"organization": job["result"]["slug"], "email": "ada@acme.example", "password": PASSWORD}
        made.headers["Authorization"] = (
            f"Bearer {made.post('/v1/auth/token', json=credentials).json()['access_token']}"
        )
        yield made


@pytest.fixture(scope="module")
def services(running: Running) -> Iterator[Services]:
    """Return services beside the stack, to submit the tests' own kinds."""
    made = Services(running.stack.settings)
    yield made
    made.close()


def follow(client: httpx.Client, job_id: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Wait by long polls until the job has ended."""
    deadline = time.monotonic() + 40
    while True:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}?wait=10", headers=headers).json()
        if job["state"] in {"succeeded", "failed", "cancelled"}:
            return job
        assert time.monotonic() < deadline, job


def until(look: Callable[[], Any], what: str, within_s: float = 20) -> Any:
    """Poll until *look* returns something true, and return that."""
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)


def test_an_imported_file_becomes_tickets_with_exact_counts(client: httpx.Client) -> None:
    answer = client.post("/v1/tickets/imports", files={"file": ("tickets.csv", CSV)})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"

    job = follow(client, answer.json()["id"])

    counts = {name: job["result"][name] for name in ("rows", "new", "repeated", "refused")}
    assert counts == {"rows": 3, "new": 1, "repeated": 1, "refused": 1}
    tickets = client.get("/v1/tickets").json()["items"]
    assert [(one["message"], one["attributes"]) for one in tickets] == [("First message", {"extra": "$state"})]
    refused = client.get(job["result"]["refused_rows"]).json()["items"]
    assert [(row["line"], row["column"]) for row in refused] == [(3, "message")]
    assert client.get(f"/v1/tickets/{tickets[0]['id']}").json() == tickets[0]


def test_an_archive_is_made_and_downloaded_whole_and_in_parts(client: httpx.Client) -> None:
    job = follow(client, client.post("/v1/archives").json()["id"])
    assert job["state"] == "succeeded", job
    path = job["result"]["links"]["content"]

    whole = client.get(path)
    parts = [client.get(path, headers={"Range": part}) for part in ("bytes=0-99", "bytes=100-")]

    assert hashlib.sha256(whole.content).hexdigest() == job["result"]["sha256"]
    assert whole.headers["Content-Length"] == str(job["result"]["size_bytes"])
    assert [part.status_code for part in parts] == [206, 206]
    assert parts[0].content + parts[1].content == whole.content
    assert "data/tickets.bson" in zipfile.ZipFile(io.BytesIO(whole.content)).namelist()


def test_a_request_id_reaches_the_handlers_lines(client: httpx.Client, running: Running) -> None:
    files = {"file": ("again.csv", CSV)}
    answer = client.post("/v1/tickets/imports", files=files, headers={"X-Request-ID": "follow-me-42"})
    follow(client, answer.json()["id"])

    assert until(
        lambda: [line for line in running.lines if line.startswith("worker-tickets") and "follow-me-42" in line],
        "the worker's line",
    )


def test_the_operator_signs_in_from_loopback(client: httpx.Client, running: Running) -> None:
    body = {"email": running.stack.settings.operator_email, "password": OPERATOR_PASSWORD}

    answer = client.post("/v1/auth/token", json=body)

    assert answer.status_code == 200


def test_flower_shows_each_job_under_its_kind_with_how_it_ended(running: Running, services: Services) -> None:
    org_id = make_organization(services)
    caller = caller_of(org_id)
    login = tuple(running.stack.flower_login.split(":", 1))
    flower = httpx.Client(base_url=running.stack.flower_url, auth=login, timeout=10)
    until(lambda: flower.get("/api/workers").status_code == 200, "Flower")
    made = {
        "SUCCESS": services.submit(caller, BeQuick()),
        "FAILURE": services.submit(caller, LeaveMarks(trouble="fail")),
        "RETRY": services.submit(caller, LeaveMarks(trouble="defer", steps=1, at=0, times=10_000)),
    }
    slow = services.submit(caller, LeaveMarks(steps=200, pause_s=0.1))
    until(lambda: record(services, org_id, slow.id).state == "running", "a running job")
    services.submitter.cancel(org_id, slow.id)
    until(lambda: record(services, org_id, slow.id).state == "cancelled", "the cancel")
    made["REVOKED"] = slow

    for state, job in made.items():
        shown = until(lambda job=job, state=state: task(flower, job.id, state), f"{job.kind} as {state}")
        assert (shown["name"], shown["args"]) == (job.kind, "")
    assert not [one for one in flower.get("/api/tasks").json().values() if one["name"] == "fairway.carrier"]
    services.submitter.cancel(org_id, made["RETRY"].id)


def test_flower_is_closed_without_its_password(running: Running) -> None:
    for path in ("/", "/workers", "/tasks", "/api/workers"):
        assert httpx.get(f"{running.stack.flower_url}{path}", timeout=10).status_code == 401


def test_metrics_count_over_all_processes(client: httpx.Client, running: Running) -> None:
    client.get("/v1/jobs")
    address = f"http://127.0.0.1:{running.stack.settings.metrics_port}/metrics"

    text = until(
        lambda: found if "fairway_job_runs_ended_total" in (found := httpx.get(address).text) else "", "metrics"
    )

    assert 'fairway_jobs_accepted_total{kind="organizations.provision"}' in text
    assert 'kind="organizations.provision",outcome="succeeded"' in text


def test_one_tenants_words_show_nowhere_to_another(
    client: httpx.Client, running: Running, services: Services
) -> None:
    """What one says in its data, names and keys is in no log line, metric or Flower page."""
    canary = "kolibri-2718"
    rows = f"message,customer_id\n{canary} wrote this,{canary}\n,{canary}\n".encode()
    job = client.post(
        "/v1/tickets/imports", files={"file": (f"{canary}.csv", rows)}, data={"source": canary}
    ).json()
    follow(client, job["id"])
    client.post("/v1/users", json={"email": f"{canary}@acme.example", "name": canary})
    client.post("/v1/api-keys", json={"name": canary, "scopes": ["jobs:read"]})
    client.get(f"/v1/tickets?source_id={canary}")
    client.get(f"/v1/{canary}")

    places = {
        "the logs": "\n".join(running.lines),
        "Flower": everything_in_flower(running),
        "metrics": httpx.get(f"http://127.0.0.1:{running.stack.settings.metrics_port}/metrics").text,
        "Redis": str(everything_in_redis(services)),
    }

    assert [place for place, text in places.items() if canary in text] == []


def test_no_secret_is_kept_or_said_in_clear(client: httpx.Client, running: Running, services: Services) -> None:
    token = client.headers["Authorization"].removeprefix("Bearer ")
    secrets = [PASSWORD, token, OPERATOR_PASSWORD, *every_secret(client)]

    places = {
        "MongoDB": json.dumps([str(document) for document in everything_in_mongo(services)]),
        "Redis": str(everything_in_redis(services)),
        "the logs": "\n".join(running.lines),
        "Flower": everything_in_flower(running),
    }

    found = [
        f"{secret[:12]}... in {place}" for place, text in places.items() for secret in secrets if secret in text
    ]
    assert found == []


def every_secret(client: httpx.Client) -> list[str]:
    """Make and use every secret that the API shows or takes, and return them."""
    headers = {"Idempotency-Key": "secrets"}
    invited = client.post("/v1/users", json={"email": "bob@acme.example"}, headers=headers).json()
    chosen = "chosen by bob: goldammer-0815"
    joined = client.post(
        "/v1/auth/password", json={"token": invited["invitation"]["token"], "password": chosen}
    ).json()
    own = {"Authorization": f"Bearer {joined['access_token']}"}
    changed = "changed by bob: zaunkoenig-1234"
    both = {"current_password": chosen, "new_password": changed}
    assert client.post(f"/v1/users/{invited['id']}/password", json=both, headers=own).status_code == 204
    refreshed = client.post("/v1/auth/refresh", json={"refresh_token": joined["refresh_token"]}).json()
    reset = client.post(f"/v1/users/{invited['id']}/password", json={}).json()["reset"]["token"]
    key = client.post("/v1/api-keys", json={"name": "k", "scopes": ["jobs:read"]}, headers=headers).json()["token"]
    assert client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    pairs = [one[name] for one in (joined, refreshed) for name in ("access_token", "refresh_token")]
    return [chosen, changed, reset, invited["invitation"]["token"], key, *pairs, *secrets_of_a_source(client)]


def secrets_of_a_source(client: httpx.Client) -> list[str]:
    """Give a source a secret and another one, refused ones too, and let a run that finds nobody there use it."""
    first, second, refused = "zilpzalp-2718", "rotkehlchen-3141", "bluthaenfling-1618"
    asked = {"name": "Ours", "connector": "intercom", "base_url": "https://tickets.invalid"}
    headers = {"Idempotency-Key": "source"}
    for wrong in ({"token": f"{refused}\n"}, {"token": refused, "key": refused}, {refused: refused}):
        assert client.post("/v1/sources", json=asked | {"credentials": wrong}).status_code == 422
    made = client.post("/v1/sources", json=asked | {"credentials": {"token": first}}, headers=headers)
    assert made.status_code == 201, made.text
    path = f"/v1/sources/{made.json()['id']}"
    assert client.patch(path, json={"credentials": {"token": second}}).status_code == 200
    job = client.post(f"{path}/ingestions", json={"mode": "full"}, headers=headers).json()
    deadline = time.monotonic() + 40
    while client.get(f"/v1/jobs/{job['id']}?wait=5").json()["state"] != "waiting":
        assert time.monotonic() < deadline, client.get(f"/v1/jobs/{job['id']}").text
    shown = [client.get(one).text for one in (path, "/v1/sources", "/v1/ingestion-logs", "/v1/events")]
    assert client.delete(path).status_code == 204
    assert not any(secret in text for secret in (first, second, refused) for text in shown)
    return [first, second, refused]


def everything_in_mongo(services: Services) -> list[dict[str, Any]]:
    client = services.control.jobs.database.client
    names = [services.settings.control_database, *services.settings.data_databases]
    return [
        one for name in names for held in client[name].list_collection_names() for one in client[name][held].find()
    ]


def everything_in_flower(running: Running) -> str:
    login = tuple(running.stack.flower_login.split(":", 1))
    paths = ("/api/tasks", "/workers?json=1", "/tasks", "/broker")
    return "".join(httpx.get(f"{running.stack.flower_url}{path}", auth=login, timeout=10).text for path in paths)


def everything_in_redis(services: Services) -> list[bytes | None]:
    return [services.broker.dump(key) for key in services.broker.keys("*")]


def record(services: Services, org_id: OrgId, job_id: JobId) -> JobRecord:
    return services.jobs.get(org_id, job_id)


def task(flower: httpx.Client, job_id: str, state: str) -> dict[str, Any] | None:
    answer = flower.get(f"/api/task/info/{job_id}")
    if answer.status_code != 200:
        return None
    shown: dict[str, Any] = answer.json()
    return shown if shown["state"] == state else None
