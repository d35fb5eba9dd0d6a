"""The supervisor: starts processes, joins their output, restarts what dies, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.lifeline import die_with_parent

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MOST_S = 30.0
STEADY_AFTER_S = 20.0
LATER_RANK_S = 2.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Process:
    """A process to keep running; those with a lower *rank* are stopped first."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    rank: int = 0


class Supervisor:
    """Keeps processes running. Every line that they say goes to *say* as (name, line)."""

    def __init__(self, say: Callable[[str, str], None], *, grace_s: float) -> None:
        self._say = say
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._undertaker = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.undertaker"],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=ROOT,
        )

    def start(self, process: Process) -> None:
        """Start *process* and keep it running until `stop`."""
        kept = _Kept(process, self._say, self._note)
        self._kept[process.name] = kept
        kept.start()

    def pid_of(self, name: str) -> int | None:
        """Return the process id of *name* while it runs."""
        return self._kept[name].pid

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send *number* to the whole process group of *name*; if it dies of it, it is restarted."""
        pid = self.pid_of(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def restarts_of(self, name: str) -> int:
        """Return how often *name* was restarted."""
        return self._kept[name].restarts

    def stop(self) -> None:
        """Stop all, rank by rank; what remains is killed with its whole group.

        The grace period is one for all of them; a later rank gets a moment even if it is used up.
        """
        for kept in self._kept.values():
            kept.retire()
        ends_at = time.monotonic() + self._grace_s
        for rank in sorted({kept.process.rank for kept in self._kept.values()}):
            same = [kept for kept in self._kept.values() if kept.process.rank == rank]
            for kept in same:
                kept.ask()
            rank_ends_at = max(ends_at, time.monotonic() + LATER_RANK_S)
            for kept in same:
                kept.await_end(rank_ends_at - time.monotonic())
        if self._undertaker.stdin:
            self._undertaker.stdin.close()
        self._undertaker.wait(10)

    def _note(self, line: str) -> None:
        with self._lock, suppress(BrokenPipeError):
            if self._undertaker.stdin:
                self._undertaker.stdin.write(line + "\n")
                self._undertaker.stdin.flush()


class _Kept:
    """One process, its output and its restarts; the thread that starts it has to live as long as it does."""

    def __init__(self, process: Process, say: Callable[[str, str], None], note: Callable[[str], None]) -> None:
        self.process = process
        self.restarts = 0
        self._say = say
        self._note = note
        self._launching = threading.Lock()
        self._launched = threading.Event()
        self._retired = threading.Event()
        self._running: subprocess.Popen[str] | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"keep {process.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        running = self._running
        return running.pid if running is not None and running.poll() is None else None

    def start(self) -> None:
        self._keeper.start()
        self._launched.wait()

    def retire(self) -> None:
        with self._launching:
            self._retired.set()

    def ask(self) -> None:
        if self._running is not None:
            self._running.terminate()

    def await_end(self, within_s: float) -> None:
        self._keeper.join(max(0.0, within_s))
        if self._keeper.is_alive() and self._running is not None:
            self._say(self.process.name, "did not stop in time: killed")
            _kill_group(self._running.pid)
        self._keeper.join(5)

    def _keep(self) -> None:
        back_off_s = BACK_OFF_FIRST_S
        while not self._retired.is_set():
            started = time.monotonic()
            ended = self._run()
            lived_s = time.monotonic() - started
            if self._retired.is_set():
                return
            back_off_s = BACK_OFF_FIRST_S if lived_s > STEADY_AFTER_S else back_off_s
            self._say(self.process.name, f"{ended} after {lived_s:.1f} s; restarts in {back_off_s:g} s")
            self._retired.wait(back_off_s)
            back_off_s = min(BACK_OFF_MOST_S, back_off_s * 2)

    def _run(self) -> str:
        """Run it once; return how that ended."""
        try:
            running = self._launch()
        except OSError as error:
            return f"could not be started ({error})"
        finally:
            self._launched.set()
        return "was stopped" if running is None else f"ended with {self._await(running)}"

    def _launch(self) -> subprocess.Popen[str] | None:
        """Start the process, unless it is retired; nothing is started behind a stop's back."""
        with self._launching:
            if self._retired.is_set():
                return None
            before, self._running = self._running, self._open()
            self._note(f"+{self._running.pid}")
            self.restarts += before is not None
            return self._running

    def _open(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.process.command,
            env=dict(self.process.environment) or None,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 (one system call; nothing here takes a lock)
        )

    def _await(self, running: subprocess.Popen[str]) -> int:
        """Pass its lines on until it ends, and end the children that it left: they may hold its output open."""
        listener = threading.Thread(target=self._listen, args=(running,), daemon=True)
        listener.start()
        status = running.wait()
        _kill_group(running.pid)
        self._note(f"-{running.pid}")
        listener.join(1)
        return status

    def _listen(self, running: subprocess.Popen[str]) -> None:
        for line in running.stdout or ():
            self._say(self.process.name, line.rstrip("\n"))


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
