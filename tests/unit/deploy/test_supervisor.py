"""The supervisor, with small processes that stand for the real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import supervisor as module
from deploy.local.supervisor import ROOT, Process, Supervisor


def until(reached: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(module, "BACK_OFF_FIRST_S", 0.05)
    made = Supervisor(lambda name, line: said.append(f"{name}: {line}"), grace_s=1)
    yield made
    made.stop()


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-u", "-c", script)


def test_what_a_process_says_comes_line_by_line_with_its_name(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("talker", python("print('one'); print('two'); input()")))

    until(lambda: {"talker: one", "talker: two"} <= set(said), "both lines")


def test_what_dies_is_restarted_with_growing_pauses(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("dying", python("raise SystemExit(3)")))

    until(lambda: supervisor.restarts_of("dying") >= 3, "three restarts")

    pauses = [line.split("restarts in ")[1] for line in said if "restarts in" in line]
    assert pauses[:3] == ["0.05 s", "0.1 s", "0.2 s"]


def test_what_does_not_stop_in_time_is_killed_with_its_children(supervisor: Supervisor, said: list[str]) -> None:
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid); time.sleep(600)"
    )
    supervisor.start(Process("deaf", python(script)))
    until(lambda: said, "the child's pid")
    child = int(said[0].split(": ")[1])

    supervisor.stop()

    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", "the child's end")


PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
time.sleep(600)
"""
SUPERVISING = """
import sys, time
from deploy.local.supervisor import Process, Supervisor
made = Supervisor(lambda name, line: None, grace_s=1)
made.start(Process("one", (sys.executable, "-c", sys.argv[2], sys.argv[1])))
print("started", flush=True)
time.sleep(600)
"""


def test_nothing_is_left_even_after_kill_9_of_the_supervisor(tmp_path: Path) -> None:
    mark = str(tmp_path)
    command = [sys.executable, "-c", SUPERVISING, mark, PARENT]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        until(lambda: len(marked(mark)) >= 3, "the supervisor, its process and that one's child")
        os.kill(process.pid, signal.SIGKILL)

    until(lambda: not marked(mark), "the end of all of them")


def marked(mark: str) -> list[int]:
    """List the living processes that carry *mark* on their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if mark in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
