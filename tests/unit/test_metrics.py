"""Metrics over several processes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_folder_that_processes_share_is_made_by_whoever_is_first(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    script = "from common.metrics import SWEEP_LAG; SWEEP_LAG.set(1)"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, timeout=60)

    assert list(folder.glob("*.db"))
