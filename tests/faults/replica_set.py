"""Three real mongod in one replica set, and what can be done to each of them."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymongo
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from deploy.local.servers import REPLICA_SET, Server, free_port, mongod

ELECTION_TIMEOUT_MS = 4_000


class Node(Server):
    """One member; it is ready when it answers, whatever its part in the set."""

    def __init__(self, folder: Path, number: int) -> None:
        self.port = free_port()
        self.data = folder / f"mongo-{number}"
        self.data.mkdir(parents=True)
        command = [
            *(mongod(), "--dbpath", str(self.data), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", REPLICA_SET, "--noscripting", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        super().__init__(f"mongod-{number}", command, folder, self._answers)

    @property
    def address(self) -> str:
        """Return host and port."""
        return f"127.0.0.1:{self.port}"

    def hello(self) -> dict[str, Any]:
        """Ask it what it is; empty if it does not answer."""
        url = f"mongodb://{self.address}/?directConnection=true"
        with (
            suppress(PyMongoError),
            pymongo.MongoClient[dict[str, Any]](
                url, serverSelectionTimeoutMS=500, socketTimeoutMS=1_000
            ) as client,
        ):
            return client.admin.command("hello")
        return {}

    def command(self, name: str, value: Any = 1, **options: Any) -> dict[str, Any]:
        """Run an administrator's command on it."""
        url = f"mongodb://{self.address}/?directConnection=true"
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=2_000) as client:
            return client.admin.command(name, value, **options)

    def rolled_back(self) -> list[Path]:
        """List the files of writes that this member had taken and had to give up."""
        return list((self.data / "rollback").rglob("*.bson"))

    def _answers(self) -> bool:
        return bool(self.hello())


class ReplicaSet:
    """Three members, each able to become the primary."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(folder, number) for number in range(3)]
        self.url = f"mongodb://{','.join(node.address for node in self.nodes)}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Start all and return when one of them is the primary."""
        for node in self.nodes:
            node.start()
        members = [{"_id": number, "host": node.address} for number, node in enumerate(self.nodes)]
        config = {
            "_id": REPLICA_SET,
            "members": members,
            "settings": {"electionTimeoutMillis": ELECTION_TIMEOUT_MS},
        }
        self.nodes[0].command("replSetInitiate", config)
        self.primary()
        wait_for(lambda: sum(bool(node.hello().get("secondary")) for node in self.nodes) == 2, "two secondaries")

    def stop(self) -> None:
        """Stop all, also frozen ones."""
        for node in self.nodes:
            node.thaw()
            node.kill()

    def primary(self, *, other_than: Node | None = None) -> Node:
        """Return the primary, when there is one."""
        found = list[Node]()

        def look() -> bool:
            found[:] = [node for node in self.nodes if node.hello().get("isWritablePrimary")]
            return bool(found) and found[0] is not other_than

        wait_for(look, "a primary")
        return found[0]

    def secondaries(self) -> list[Node]:
        """Return the others."""
        primary = self.primary()
        return [node for node in self.nodes if node is not primary]

    def step_down(self) -> None:
        """Let the primary give up its part; return when there is one again."""
        old = self.primary()
        wait_for(lambda: self._gives_up(old), "a secondary that has caught up")
        self.primary(other_than=old)

    def _gives_up(self, primary: Node) -> bool:
        try:
            primary.command("replSetStepDown", 3, secondaryCatchUpPeriodSecs=2)
        except AutoReconnect:
            return True
        except OperationFailure:
            return not primary.hello().get("isWritablePrimary")
        return True


def wait_for(reached: Callable[[], bool], what: str, within_s: float = 60) -> None:
    """Poll until *reached*."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}"
        time.sleep(0.05)
