"""The processes of the stack: what is run, under which name, and with which environment."""

import os
import sys
from pathlib import Path

from pydantic import SecretStr

from common.config import PREFIX, Settings
from common.jobs.carriers import celery_queue
from common.jobs.kind import queues
from deploy.local.supervisor import Process

# Workers share nothing but the lanes: they need not look for one another at start, nor gossip.
_ALONE = ("--without-mingle", "--without-gossip")


def processes(settings: Settings, *, flower_login: str) -> list[Process]:
    """List the processes of the stack; what is stopped first comes first."""
    here = environment_of(settings)
    quiet = {**here, "FAIRWAY_METRICS_PORT": "0"}
    python = sys.executable
    celery = (python, "-m", "celery", "-q", "-A", "workers.app")
    found = [Process("api", (python, "-m", "web.server"), here, rank=0)]
    for queue in queues():
        options = ("-Q", celery_queue(queue), "-c", str(settings.workers), "-n", f"{queue}@%h", "-E", *_ALONE)
        found.append(Process(f"worker-{queue}", (*celery, "worker", *options), quiet, rank=0))
    found += [Process(f"sweeper-{n}", (python, "-m", "workers.sweeper"), quiet, rank=1) for n in (1, 2)]
    flower = (*celery, "flower", "--address=127.0.0.1", f"--port={settings.flower_port}", "--logging=warning")
    found.append(Process("flower", flower, {**quiet, "FLOWER_BASIC_AUTH": flower_login}, rank=1))
    return found


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a process of this stack; what was set outside for others is left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    ours = {f"{PREFIX}{name.upper()}": _text(value) for name, value in _as_given(settings).items()}
    folder = str(metrics_folder(settings).resolve())
    return {**inherited, **ours, "PROMETHEUS_MULTIPROC_DIR": folder, "PYTHONUNBUFFERED": "1"}


def metrics_folder(settings: Settings) -> Path:
    """Return where the processes of one stack add up their metrics."""
    return settings.data_dir / "metrics"


def _as_given(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in settings.model_fields_set | {"data_dir", "metrics_port"}}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value.resolve()) if isinstance(value, Path) else str(value)
