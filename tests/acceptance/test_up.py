"""`make up`: what it says, what it refuses, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil

from deploy.local.servers import free_port
from tests.acceptance.conftest import ROOT


def start(folder: Path, **settings: str) -> "subprocess.Popen[str]":
    ports = {f"FAIRWAY_{name}_PORT": str(free_port()) for name in ("HTTP", "FLOWER", "METRICS")}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")},
        **ports,
        "FAIRWAY_DATA_DIR": str(folder),
        "FAIRWAY_GRACE_S": "5",
        **settings,
    }
    command = [sys.executable, "-m", "deploy.local.up"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def read_until_ready(process: "subprocess.Popen[str]") -> tuple[str, list[str]]:
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if found := re.fullmatch(r"ready (http://\S+)\n", line):
            return found[1], lines
    raise AssertionError("".join(lines))


def processes_in(folder: Path) -> list[str]:
    """List what runs with that data folder in its environment or on its command line."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            here = process.environ().get("FAIRWAY_DATA_DIR") == str(folder) or str(folder) in " ".join(
                process.cmdline()
            )
            if here and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:80])
        except psutil.Error:
            continue
    return found


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while left := processes_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_two_stacks_run_side_by_side_and_leave_nothing_behind(tmp_path: Path) -> None:
    one, other = start(tmp_path / "one"), start(tmp_path / "other")
    try:
        first, lines = read_until_ready(one)
        second, _ = read_until_ready(other)

        assert first != second
        assert httpx.get(f"{first}/readyz").json() == httpx.get(f"{second}/readyz").json()
        assert any("operator" in line and "sign in with" in line for line in lines)
        refused = subprocess.run(
            [sys.executable, "-m", "deploy.local.up"],
            cwd=ROOT,
            env={**os.environ, "FAIRWAY_DATA_DIR": str(tmp_path / "one")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (refused.returncode, "FAIRWAY_DATA_DIR" in refused.stderr) == (1, True)

        one.send_signal(signal.SIGINT)
        one.communicate(timeout=60)
        other.kill()  # not even then is anything left
        other.communicate(timeout=60)
    finally:
        one.kill()
        other.kill()

    assert one.returncode == 0
    wait_until_gone(tmp_path / "one")
    wait_until_gone(tmp_path / "other")


def test_a_taken_port_and_a_misspelt_setting_are_named(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, FAIRWAY_HTTP_PORT=str(taken.getsockname()[1]))
        output, _ = process.communicate(timeout=60)
    assert "FAIRWAY_HTTP_PORT" in output

    process = start(tmp_path, FAIRWAY_HTP_PORT="1")
    output, _ = process.communicate(timeout=60)
    assert "FAIRWAY_HTP_PORT" in output
    assert process.returncode == 1
