"""`docker-compose.yml` holds its own rules; no container is started here."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from common.config import Settings, known_names
from common.jobs.carriers import celery_queue
from common.jobs.kind import KINDS, discover
from deploy.local.stack import processes

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
discover()
QUEUES = {
    kind.terms.queue for kind in KINDS.values() if not kind.__module__.startswith(("common.probe", "common.bench"))
}


def test_it_is_a_compose_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]

    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_hardened_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["user"].split(":")[0] != "0"
    assert service["healthcheck"]["test"]
    assert service["deploy"]["resources"]["limits"]["memory"]


def test_only_the_balancer_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["balancer"]


def test_every_setting_is_one_that_we_read() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert {name for name in names if name.startswith("FAIRWAY_")} <= known_names()


def test_every_secret_is_a_file_and_each_is_used() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}

    assert used == set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not any(word in name for word in ("PASSWORD", "URL")) or name.endswith("_FILE"), (name, value)


def test_each_queue_has_one_consumer_here() -> None:
    consumed = [
        service["command"][service["command"].index("-Q") + 1]
        for service in SERVICES.values()
        if "-Q" in service.get("command", [])
    ]

    assert sorted(consumed) == sorted(map(celery_queue, QUEUES))


def test_each_queue_has_one_consumer_in_the_local_stack() -> None:
    commands = [process.command for process in processes(Settings(), flower_login="a:b")]
    consumed = {command[command.index("-Q") + 1] for command in commands if "-Q" in command}

    assert set(map(celery_queue, QUEUES)) <= consumed


def test_both_redis_evict_nothing() -> None:
    for name in ("broker", "redis"):
        command = SERVICES[name]["command"]
        assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_secrets_are_made_whole_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "deploy.compose.make_secrets", str(tmp_path)], cwd=ROOT, check=True)
        made = {path.name: path.read_text() for path in tmp_path.iterdir()}

    assert set(made) == set(COMPOSE["secrets"])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == made
