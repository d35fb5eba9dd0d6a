"""`make up`: what it says, what it refuses, and that it leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from common.config import Settings
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


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until_gone(folder: Path, started: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 30
    while left := [*processes_in(folder), *filter(is_alive, started)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def started_by(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """List everything under *process*: the servers, the platform's processes, and their own children."""
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
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

        of_one, of_other = started_by(one), started_by(other)
        assert min(len(of_one), len(of_other)) > 10

        one.send_signal(signal.SIGINT)
        one.communicate(timeout=60)
        other.kill()  # not even then is anything left
        other.communicate(timeout=60)
    finally:
        one.kill()
        other.kill()

    assert one.returncode == 0
    wait_until_gone(tmp_path / "one", of_one)
    wait_until_gone(tmp_path / "other", of_other)


def test_a_stopped_stack_comes_back_with_its_data_and_tells_no_old_password(tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        process = start(tmp_path)
        try:
            _, lines = read_until_ready(process)
            runs.append("".join(lines))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 0

    password = re.search(r"may sign in with (\S+)", runs[0])
    assert password is not None
    assert "may sign in with" not in runs[1]
    assert re.search(r"Flower .* for this run with \S+\n", runs[1])
    assert runs[0].count(password[1]) == 1
    assert password[1] not in runs[1]
    assert not [
        file for file in tmp_path.rglob("*") if file.is_file() and password[1].encode() in file.read_bytes()
    ]


def test_an_api_whose_parent_alone_is_killed_comes_back(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        url, _ = read_until_ready(process)
        before = next(one for one in started_by(process) if "web.server" in one.cmdline())
        workers = before.children()

        before.kill()

        assert process.stdout is not None
        assert next(line for line in process.stdout if "ended with -9" in line).startswith("api ")
        next(line for line in process.stdout if "api.listens" in line)
        until(lambda: answers(url), "the API")
        assert not list(filter(is_alive, workers))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.slow
def test_given_addresses_start_no_server_of_its_own(tmp_path: Path, settings: Settings) -> None:
    process = start(
        tmp_path,
        FAIRWAY_MONGO_URL=settings.mongo_url.get_secret_value(),
        FAIRWAY_REDIS_URL=settings.redis_url.get_secret_value(),
        FAIRWAY_BROKER_URL=settings.broker_url.get_secret_value(),
        FAIRWAY_CONTROL_DATABASE=settings.control_database,
        FAIRWAY_DATA_DATABASES=",".join(settings.data_databases),
    )
    try:
        read_until_ready(process)
        assert not [one.name() for one in started_by(process) if one.name() in {"mongod", "redis-server"}]
        assert not (tmp_path / "servers").exists()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    return False


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)


def test_a_taken_port_and_a_misspelt_setting_are_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, FAIRWAY_HTTP_PORT=str(taken.getsockname()[1]))
        output, _ = process.communicate(timeout=60)
    assert "FAIRWAY_HTTP_PORT" in output

    same = str(free_port())
    process = start(tmp_path, FAIRWAY_HTTP_PORT=same, FAIRWAY_FLOWER_PORT=same)
    output, _ = process.communicate(timeout=60)
    assert "FAIRWAY_FLOWER_PORT" in output

    process = start(tmp_path, FAIRWAY_HTP_PORT="1")
    output, _ = process.communicate(timeout=60)
    assert "FAIRWAY_HTP_PORT" in output
    assert process.returncode == 1
