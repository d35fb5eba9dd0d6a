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


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


DEAF = """
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf")
threading.Timer(600, int).start()
"""
WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid)
child.wait()
"""


def test_what_a_process_says_comes_line_by_line_with_its_name(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("talker", python("print('one'); print('two'); input()")))

    until(lambda: len(said) >= 2, "both lines")
    assert said[:2] == ["talker: one", "talker: two"]


def test_what_dies_is_restarted_with_growing_pauses(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("dying", python("raise SystemExit(3)")))

    until(lambda: supervisor.restarts_of("dying") >= 3, "three restarts")

    pauses = [line.split("restarts in ")[1] for line in said if "restarts in" in line]
    assert pauses[:3] == ["0.05 s", "0.1 s", "0.2 s"]


def test_what_does_not_stop_in_time_is_killed_with_its_children(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("deaf", python(DEAF + WITH_CHILD)))
    until(lambda: len(said) == 2, "the child's pid")
    child = int(said[1].split(": ")[1])

    supervisor.stop()

    until(lambda: is_gone(child), "the child's end")
    assert supervisor.pid_of("deaf") is None


def test_a_parent_that_is_killed_alone_is_restarted_though_its_child_holds_the_output(
    supervisor: Supervisor, said: list[str]
) -> None:
    supervisor.start(Process("parent", python(WITH_CHILD)))
    until(lambda: said, "the child's pid")
    child, parent = int(said[0].split(": ")[1]), supervisor.pid_of("parent")
    assert parent is not None

    os.kill(parent, signal.SIGKILL)

    until(lambda: supervisor.restarts_of("parent") == 1, "the restart")
    until(lambda: is_gone(child), "the child's end")


def test_the_ranks_share_one_grace_period(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATER_RANK_S", 0.1)
    monkeypatch.setattr(supervisor, "_grace_s", 2)
    for rank in range(3):
        supervisor.start(Process(f"deaf-{rank}", python(DEAF), rank=rank))
    until(lambda: len(said) == 3, "all of them to be deaf")

    started = time.monotonic()
    supervisor.stop()

    assert time.monotonic() - started < 5  # and not three times two


def test_what_can_not_be_started_is_tried_again(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Process("missing", ("/nowhere/such-a-program",)))

    until(lambda: sum("could not be started" in line for line in said) >= 2, "a second try")
    assert all(line.startswith("missing: ") for line in said)
    assert supervisor.pid_of("missing") is None


def test_a_process_that_waits_for_its_restart_is_not_started_by_a_stop(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF_FIRST_S", 600)
    supervisor.start(Process("dying", python("raise SystemExit(3)")))
    until(lambda: any("restarts in" in line for line in said), "its end")

    supervisor.stop()

    assert (supervisor.pid_of("dying"), supervisor.restarts_of("dying")) == (None, 0)


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
