"""What processes tell of themselves, over several processes: connections, memory, and what was slow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from pymongo.errors import OperationFailure

from common import slow, tracing
from common.config import Settings
from common.ids import OrgId
from common.jobs.census import Census
from common.services import Services
from common.slow import WatchedRedis
from deploy.local.servers import free_port

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
from common.config import Settings
from common.metrics import serve
from common.services import Services
services = Services(Settings(), process="probe:one")
services.control.jobs.find_one({})
services.broker.ping()
services.figures.tell()
if sys.argv[1] == "serves":
    serve("127.0.0.1", int(sys.argv[2]))
print("told", flush=True)
sys.stdin.read()
"""


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_each_process_is_told_and_a_dead_one_is_forgotten(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("FAIRWAY_")},
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_BROKER_URL": settings.broker_url.get_secret_value(),
        "PYTHONPATH": str(ROOT),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, role, str(port)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in ("serves", "works")
    ]
    try:
        assert all(one.stdout.readline() == "told\n" for one in started)
        before = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        started[1].kill()
        started[1].wait()
        after = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        for one in started:
            one.kill()
            one.wait()

    def resident(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("fairway_process_resident_bytes{")]

    assert len(resident(before)) == 2
    assert len(resident(after)) == 1
    assert 'fairway_mongo_connections{state="open"}' in before
    assert 'fairway_redis_connections{server="broker",state="idle"} 2.0' in before


def test_a_slow_command_is_logged_by_its_shape(
    services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow, "SLOW_S", 0.0)
    before = value("fairway_slow_operations_total", server="mongodb", operation="find")

    services.control.users.find_one({"email": "ada@acme.example", "org_id": {"$in": ["x", "y"]}})

    told = capsys.readouterr().out
    assert "mongodb.slow" in told
    assert "{'email': 'str', 'org_id': {'$in': ['str', '… 2']}}" in told
    assert "ada@" not in told
    assert value("fairway_slow_operations_total", server="mongodb", operation="find") == before + 1


def test_a_command_that_failed_slowly_is_logged_too(
    services: Services, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow, "SLOW_S", 0.0)

    with pytest.raises(OperationFailure):
        services.control.jobs.find_one({"$nonsense": "a secret"})

    told = capsys.readouterr().out
    assert "{'$nonsense': 'str'}" in told


def test_a_slow_call_of_redis_is_logged_and_one_that_waits_is_not(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slow, "SLOW_S", 0.0)
    with WatchedRedis.from_url(redis_url) as client:
        client.set("a-key", "a secret value")
        client.xread({"nothing": "$"}, block=10)

    told = capsys.readouterr().out
    assert "SET" in told
    assert "secret" not in told
    assert "a-key" not in told
    assert "XREAD" not in told


def test_jobs_are_counted_by_kind_and_state_and_none_is_zero() -> None:
    census = Census()
    census.count("queued", ["a.b", "a.b"], is_whole=False)
    assert value("fairway_jobs", kind="a.b", state="queued") == 0
    census.count("queued", ["a.b", "c.d"], is_whole=True)
    assert value("fairway_jobs", kind="a.b", state="queued") == 3

    census.count("queued", ["c.d"], is_whole=True)

    assert value("fairway_jobs", kind="a.b", state="queued") == 0
    assert value("fairway_jobs", kind="c.d", state="queued") == 1


TRACED = """
import json, sys
from common import tracing
tracing.start("probe")
from common.config import Settings
from common.services import Services
from tests.integration.conftest import Slot, token_of
from web.app import create_app
from workers import runner
runner.discover()
services = Services(Settings())
services.prepare()
app = create_app(services)
headers = {"Authorization": f"Bearer {token_of(services, sys.argv[1])}"}
asked = {"traceparent": sys.argv[2], **headers}
job = app.test_client().post("/v1/kinds/jobs.rehearse/jobs", json={"payload": {}}, headers=asked)
assert job.status_code == 202, job.text
ended = Slot(services).step("organizations")
assert ended.state == "succeeded", ended
tracing.stop()
"""


@pytest.mark.parametrize("is_on", [True, False])
def test_a_trace_goes_from_the_request_to_the_handler(
    settings: Settings, services: Services, org_id: OrgId, *, is_on: bool
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("FAIRWAY_", "OTEL_"))},
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_BROKER_URL": settings.broker_url.get_secret_value(),
        "FAIRWAY_REDIS_URL": settings.redis_url.get_secret_value(),
        "FAIRWAY_CONTROL_DATABASE": settings.control_database,
        "FAIRWAY_DATA_DATABASES": ",".join(settings.data_databases),
        "FAIRWAY_DATA_DIR": str(settings.data_dir),
        "FAIRWAY_RATE_LIMITS": "off",
        "PYTHONPATH": str(ROOT),
        **({"OTEL_TRACES_EXPORTER": "console"} if is_on else {}),
    }

    done = subprocess.run(
        [sys.executable, "-c", TRACED, org_id, f"00-{trace}-00f067aa0ba902b7-01"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    record = services.control.jobs.find_one({"org_id": org_id})
    assert record["traceparent"].split("-")[1] == trace
    names = _spans(done.stdout, trace)
    assert ("jobs.rehearse" in names) == is_on
    assert any(name.startswith("POST /v1/kinds") for name in names) == is_on
    assert any("jobs.insert" in name or name.startswith("test") for name in names) == is_on, names


def _spans(output: str, trace: str) -> set[str]:
    """Return the names of the spans of *trace* that the console exporter printed."""
    decoder, found, at = json.JSONDecoder(), set[str](), output.find("{\n")
    while at != -1:
        span, end = decoder.raw_decode(output, at)
        if span["context"]["trace_id"] == f"0x{trace}":
            found.add(span["name"])
        at = output.find("{\n", end)
    return found


def test_a_malformed_trace_is_ignored() -> None:
    rest = "-00f067aa0ba902b7-01"
    bad = ["", "x", "00-" + "0" * 32 + rest, "01-4bf92f3577b34da6a3ce929d0e0e4736" + rest]

    assert [tracing.sane(one) for one in bad] == [None] * 4
