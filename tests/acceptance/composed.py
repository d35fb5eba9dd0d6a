"""`docker-compose.yml` without containers: its commands, settings, secrets and checks on this machine's servers.

Only what a container would give is put in their place: paths, host names and ports. What the images bring
themselves (Caddy, mongosh, the images' entry points) is not run.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymongo
import redis
from pymongo.errors import PyMongoError
from ruamel.yaml import YAML

from deploy.compose.make_secrets import main as make_secrets
from deploy.compose.make_secrets import write
from deploy.local.servers import Server, free_port, mongod, redis_server
from deploy.local.supervisor import ROOT, Process, Supervisor
from tests.redis_programs import redis_cli

COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("fairway:")]
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


@dataclass
class Composed:
    """Everything of the compose file that can run here, in *folder*."""

    folder: Path
    ports: dict[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("mongo", "broker", "redis", "api", "flower")}
    )
    lines: list[str] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    supervisor: Supervisor | None = None

    @property
    def secrets(self) -> Path:
        """Return where the secrets are, as the services get them."""
        return self.folder / "secrets"

    def secret(self, name: str) -> str:
        """Return one secret."""
        return (self.secrets / name).read_text(encoding="ascii").strip()

    def start_servers(self) -> None:
        """Make the secrets, and start MongoDB with its key and its users and each Redis with its own."""
        make_secrets(self.secrets)
        for path in self.secrets.glob("*_url*"):
            write(path, re.sub(r"@(\w+):\d+", lambda host: f"@127.0.0.1:{self.ports[host[1]]}", path.read_text()))
        self._start_mongo()
        for name in ("broker", "redis"):
            self._start_redis(name)

    def start_services(self) -> None:
        """Start one of each of our own services."""
        self.supervisor = Supervisor(lambda name, line: self.lines.append(f"{name} | {line}"), grace_s=10)
        for name in OURS:
            self.supervisor.start(Process(name, self.here(SERVICES[name]["command"]), self.environment(name)))

    def stop(self) -> None:
        """Stop everything."""
        if self.supervisor is not None:
            self.supervisor.stop()
        for server in reversed(self.servers):
            server.stop()

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the health check of the service *name*, as the engine would."""
        kind, *command = SERVICES[name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            client = f"{shlex.join(redis_cli())} -p {self.ports[name]}"
            command = ["sh", "-c", command[0].replace("redis-cli", client)]
        environment = self.environment(name) if name in OURS else os.environ
        asked = self.here(command)
        try:
            return subprocess.run(
                asked, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
            )
        except subprocess.TimeoutExpired:  # to the engine that is ill as well
            return subprocess.CompletedProcess(asked, 1, "", "It did not answer within 30 s.")

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of the service *name*; nothing of ours comes from outside."""
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("FAIRWAY_", "COV"))}
        given = {key: self._text(str(value)) for key, value in SERVICES[name]["environment"].items()}
        figures = {"PROMETHEUS_MULTIPROC_DIR": str(self.folder / "figures" / name)}
        return {
            **outside,
            **given,
            **(figures if "PROMETHEUS_MULTIPROC_DIR" in given else {}),
            "FAIRWAY_HTTP_PORT": str(self.ports["api"]),
            "FAIRWAY_METRICS_PORT": "0",
            "PYTHONPATH": str(ROOT),
        }

    def here(self, command: list[str]) -> list[str]:
        """Return *command* with this machine's programs, paths and ports."""
        programs = {"python": [sys.executable], "celery": [sys.executable, "-m", "celery"]}
        first, *rest = command
        celery = f"exec {shlex.join(programs['celery'])}"
        rest = [self._text(part).replace("exec celery", celery) for part in rest]
        return [*programs.get(first, [first]), *rest]

    def _text(self, text: str) -> str:
        for inside, here in (
            ("/run/secrets", str(self.secrets)),
            ("5555", str(self.ports["flower"])),
            ("$$", "$"),
        ):
            text = text.replace(inside, here)
        return _DEFAULT.sub(r"\1", str(self.folder / "data") if text == "/data" else text)

    def _start_redis(self, name: str) -> None:
        data = self.folder / name
        data.mkdir()
        port, password = self.ports[name], self.secret(f"{name}_health")
        command = [redis_server(), *map(self._text, SERVICES[name]["command"][1:])]
        command += ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)]

        def answers() -> bool:
            try:
                with redis.Redis(port=port, username="health", password=password) as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        self._start(Server(name, command, self.folder / "logs", answers))

    def _start_mongo(self) -> None:
        """Start it by its own script; the image's entry point is played by one that runs what it is given."""
        data, port = self.folder / "mongo", str(self.ports["mongo"])
        data.mkdir()
        entry = self.folder / "docker-entrypoint.sh"
        entry.write_text('#!/bin/sh\nexec "$@"\n')
        entry.chmod(0o755)
        script = (ROOT / "deploy/compose/mongo-start.sh").read_text(encoding="utf-8")
        start = self._text(script).replace("/tmp/keyfile", str(self.folder / "keyfile"))  # noqa: S108 (replaced)
        given = [part for part in SERVICES["mongo"]["command"][1:] if part != "--bind_ip_all"]
        command = ["bash", "-c", start.replace("docker-entrypoint.sh", str(entry)), "start", mongod(), *given]
        command += ["--dbpath", str(data), "--port", port, "--bind_ip", "127.0.0.1", "--nounixsocket"]
        self._start(Server("mongod", command, self.folder / "logs", self._mongo_is_primary))
        self._make_mongo_users()

    def _mongo_is_primary(self) -> bool:
        """Initiate the set through the exception for this machine, as the health check of the service does."""
        member = {"_id": 0, "host": f"127.0.0.1:{self.ports['mongo']}"}
        try:
            with self._mongo() as client:
                hello = client.admin.command("hello")
                if "setName" not in hello:
                    client.admin.command("replSetInitiate", {"_id": "fairway", "members": [member]})
                return bool(hello.get("isWritablePrimary"))
        except PyMongoError:
            return False

    def _make_mongo_users(self) -> None:
        """Make the users that the image and `mongo-init.js` make."""
        text = (ROOT / "deploy/compose/mongo-user.json").read_text(encoding="utf-8")
        asked: Mapping[str, Any] = YAML(typ="safe").load(text)
        root = self.secret("mongo_root_password")
        with self._mongo() as client:
            client.admin.command("createUser", "root", pwd=root, roles=["root"])
        with self._mongo(username="root", password=root) as client:
            role, user = dict(asked["role"]), dict(asked["user"])
            client.admin.command("createRole", role.pop("role"), **role)
            client.admin.command("createUser", user.pop("user"), pwd=self.secret("mongo_password"), **user)

    def _mongo(self, **login: Any) -> "pymongo.MongoClient[Any]":
        return pymongo.MongoClient(
            port=self.ports["mongo"], directConnection=True, serverSelectionTimeoutMS=1_000, **login
        )

    def _start(self, server: Server) -> None:
        self.servers.append(server)
        server.start()
