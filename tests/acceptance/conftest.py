"""The whole stack, as `make up` runs it, on free ports in a temporary folder."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from common.config import Settings
from deploy.local.servers import free_port
from deploy.local.stack import Stack

ROOT = Path(__file__).parents[2]
OPERATOR_PASSWORD = "only for this test"


@dataclass
class Running:
    """A stack that runs, and what its processes have said."""

    stack: Stack
    lines: list[str] = field(default_factory=list)


def settings_in(folder: Path) -> Settings:
    """Return settings for a stack of its own in *folder*."""
    return Settings(
        data_dir=folder,
        http_port=free_port(),
        flower_port=free_port(),
        metrics_port=free_port(),
        operator_password=SecretStr(OPERATOR_PASSWORD),
        lease_s=3,
        sweep_s=0.5,
        grace_s=5,
        rate_limits="off",
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Run the stack, with the tests' own kinds, until the module's tests are over."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "kinds")])
    with tempfile.TemporaryDirectory(prefix="fairway-acceptance-") as folder:
        lines: list[str] = []
        stack = Stack(settings_in(Path(folder) / "data"), lambda name, line: lines.append(f"{name} | {line}"))
        try:
            stack.start()
            stack.wait_ready()
            yield Running(stack, lines)
        finally:
            stack.stop()
            os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
