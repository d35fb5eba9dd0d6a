"""The whole stack on one machine: its servers, unless they are given, and every process of the platform."""

import fcntl
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import IO

import httpx
from pydantic import SecretStr

from common.config import PREFIX, Settings
from common.errors import Misconfigured
from common.keys import SecretKeys
from common.organizations.operator_account import ensure_operator
from common.services import Services
from deploy.local.processes import metrics_folder, processes
from deploy.local.servers import Mongo, Redis
from deploy.local.supervisor import Supervisor

READY_WITHIN_S = 90
_PORTS = ("http_port", "flower_port", "metrics_port")


class Stack:
    """Servers and processes under one supervisor; *say* gets every line as (process name, line)."""

    def __init__(self, settings: Settings, say: Callable[[str, str], None]) -> None:
        self.settings = settings
        self.flower_login = ""
        self.operator_password: str | None = None  # set if it was made now
        self.flower_password: str | None = None  # set if it holds for this run only
        self._say = say
        self._mongo: Mongo | None = None
        self._redis: Redis | None = None
        self._supervisor: Supervisor | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Return where the API listens."""
        return f"http://{self.settings.http_host}:{self.settings.http_port}"

    @property
    def flower_url(self) -> str:
        """Return where Flower listens."""
        return f"http://127.0.0.1:{self.settings.flower_port}"

    @property
    def supervisor(self) -> Supervisor:
        """Return what keeps the processes running. Raises `RuntimeError` before `start`."""
        if self._supervisor is None:
            raise RuntimeError("The stack was not started.")
        return self._supervisor

    def start(self) -> None:
        """Start everything. Raises `Misconfigured`, saying what to change; then nothing runs."""
        try:
            self._own_folder()
            self._refuse_taken_ports()
            self._start_servers()
            self._prepare()
            self._supervisor = Supervisor(self._say, grace_s=self.settings.grace_s + 5)
            for process in processes(self.settings, flower_login=self.flower_login):
                self._supervisor.start(process)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Return when the API is ready with nothing degraded. Raises `Misconfigured` with what is missing."""
        deadline, last = time.monotonic() + within_s, "no answer"
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                answer = httpx.get(f"{self.url}/readyz", timeout=5)
                last = answer.text
                if answer.status_code == httpx.codes.OK and answer.json()["degraded"] == []:
                    return
            time.sleep(0.1)
        raise Misconfigured(f"The stack is not ready after {within_s:g} s: {last}")

    def stop(self) -> None:
        """Stop everything, servers last; safe to repeat."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
        for server in (self._redis, self._mongo):
            if server is not None:
                server.stop()
        self._redis = self._mongo = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own_folder(self) -> None:
        folder = self.settings.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w", encoding="ascii")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            self._lock = None
            raise Misconfigured(
                f"Another stack runs in {folder}. Stop it, or set FAIRWAY_DATA_DIR to another folder."
            ) from error

    def _refuse_taken_ports(self) -> None:
        with ExitStack() as held:  # all at once, so that no two of ours are the same
            for name in _PORTS:
                probe = held.enter_context(socket.socket())
                _listen(probe, getattr(self.settings, name), f"Set {PREFIX}{name.upper()} to a free one.")

    def _start_servers(self) -> None:
        given = self.settings.model_fields_set
        folder = self.settings.data_dir / "servers"
        found: dict[str, SecretStr] = {}
        if "mongo_url" not in given:
            self._mongo = Mongo(folder)
            self._mongo.start()
            found["mongo_url"] = SecretStr(self._mongo.url)
            self._say("mongod", f"listens on 127.0.0.1:{self._mongo.port}")
        if not {"redis_url", "broker_url"} <= given:
            self._redis = Redis(folder, durable=True)
            self._redis.start()
            self._say("redis", f"listens on 127.0.0.1:{self._redis.port}")
            for number, name in enumerate(("broker_url", "redis_url")):
                if name not in given:
                    found[name] = SecretStr(self._redis.url(number))
        self.settings = self.settings.model_copy(update=found)

    def _prepare(self) -> None:
        SecretKeys.load(
            self.settings.secret_keys_file,
            data_dir=self.settings.data_dir,
            production=self.settings.env == "production",
        )
        services = Services.open(self.settings, process="up")
        try:
            services.prepare()
            self.operator_password = ensure_operator(services.control, self.settings, services.clock)
        finally:
            services.close()
        self.flower_login = f"{self.settings.operator_email}:{self._flower_password()}"
        shutil.rmtree(metrics_folder(self.settings), ignore_errors=True)
        metrics_folder(self.settings).mkdir(parents=True)

    def _flower_password(self) -> str:
        """Return the operator's password while it is known, or one for this run: neither is written down."""
        if self.settings.operator_password is not None:
            return self.settings.operator_password.get_secret_value()
        if self.operator_password is not None:
            return self.operator_password
        self.flower_password = secrets.token_urlsafe(18)
        return self.flower_password


def _listen(probe: socket.socket, port: int, advice: str) -> None:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
        probe.listen()
    except OSError as error:
        raise Misconfigured(f"Port {port} is taken. {advice}") from error
