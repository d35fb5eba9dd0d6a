"""`docker-compose.yml` holds its own rules; no container is started here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from common.config import Settings, known_names
from common.jobs.carriers import celery_queue
from common.jobs.kind import KINDS, discover
from deploy.compose.make_secrets import main as make_secrets
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
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["healthcheck"]["test"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert all(":size=" in mount for mount in service["tmpfs"])
    assert service["logging"]["options"]["max-size"]


def test_only_the_balancer_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["balancer"]


def test_each_way_out_is_of_one_service_and_the_published_one_reaches_no_server() -> None:
    ways_out = {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")}
    on_them = {way: [name for name, service in SERVICES.items() if way in service["networks"]] for way in ways_out}
    servers = {"mongo", "broker", "redis"}

    assert on_them == {"outside": ["balancer"], "outward": ["worker-ingestion"]}
    for name in servers:
        assert not set(SERVICES[name]["networks"]) & set(SERVICES["balancer"]["networks"])


def test_operators_do_not_come_through_a_network_of_the_engines() -> None:
    given = SERVICES["api"]["environment"]

    assert given["FAIRWAY_OPERATOR_NETWORKS"] == "${FAIRWAY_OPERATOR_NETWORKS:-127.0.0.0/8}"
    assert given["FAIRWAY_TRUSTED_PROXIES"] == COMPOSE["networks"]["edge"]["ipam"]["config"][0]["subnet"]


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]

    assert len(files) == 5
    assert all((ROOT / file).is_file() for file in files)


def test_secrets_reach_neither_the_repository_nor_an_image() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets" in (ROOT / ".dockerignore").read_text().splitlines()


def test_a_secret_goes_only_to_the_services_whose_it_is() -> None:
    for name, service in SERVICES.items():
        for secret in service.get("secrets", []):
            server, _, user = secret.partition("_url_")
            assert not user or name.startswith(user), (name, secret)
            assert secret != "operator_password" or name == "api"
            assert server in {"broker", "redis"} or not user


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


def test_a_removed_secret_is_made_anew_and_the_rights_follow(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    before = (tmp_path / "broker_acl").read_text().splitlines()
    (tmp_path / "broker_url_api").unlink()

    make_secrets(tmp_path)

    after = (tmp_path / "broker_acl").read_text().splitlines()
    assert [line.split()[1] for line, was in zip(after, before, strict=True) if line != was] == ["api"]


def test_secrets_are_readable_in_a_container_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_secrets(tmp_path / "secrets")
    finally:
        os.umask(before)

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o444}
