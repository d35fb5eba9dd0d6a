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

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MOST_S = 30.0
STEADY_AFTER_S = 20.0
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
        """Stop all within the grace period, rank by rank; what remains is killed with its whole group."""
        for kept in self._kept.values():
            kept.retire()
        for rank in sorted({kept.process.rank for kept in self._kept.values()}):
            same = [kept for kept in self._kept.values() if kept.process.rank == rank]
            for kept in same:
                kept.ask()
            ends_at = time.monotonic() + self._grace_s
            for kept in same:
                kept.await_end(max(0.1, ends_at - time.monotonic()))
        if self._undertaker.stdin:
            self._undertaker.stdin.close()
        self._undertaker.wait(10)

    def _note(self, line: str) -> None:
        with self._lock, suppress(BrokenPipeError):
            if self._undertaker.stdin:
                self._undertaker.stdin.write(line + "\n")
                self._undertaker.stdin.flush()


class _Kept:
    """One process, its output and its restarts."""

    def __init__(self, process: Process, say: Callable[[str, str], None], note: Callable[[str], None]) -> None:
        self.process = process
        self.restarts = 0
        self._say = say
        self._note = note
        self._retired = threading.Event()
        self._running: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep, name=f"keep {process.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        running = self._running
        return running.pid if running is not None and running.poll() is None else None

    def start(self) -> None:
        self._launch()
        self._thread.start()

    def retire(self) -> None:
        self._retired.set()

    def ask(self) -> None:
        if self.pid is not None and self._running is not None:
            self._running.terminate()

    def await_end(self, within_s: float) -> None:
        if self._running is None:
            return
        try:
            self._running.wait(within_s)
        except subprocess.TimeoutExpired:
            self._say(self.process.name, f"did not stop within {within_s:.0f} s: killed")
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)  # whatever of its children is left
        self._running.wait()
        self._thread.join(5)

    def _launch(self) -> None:
        self._running = subprocess.Popen(
            self.process.command,
            env=dict(self.process.environment) or None,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._note(f"+{self._running.pid}")

    def _keep(self) -> None:
        back_off_s = BACK_OFF_FIRST_S
        while True:
            started = time.monotonic()
            self._listen()
            running = self._running
            if running is None:
                return
            status = running.wait()
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)  # children of a parent that was killed alone
            self._note(f"-{running.pid}")
            if self._retired.is_set():
                return
            lived_s = time.monotonic() - started
            back_off_s = BACK_OFF_FIRST_S if lived_s > STEADY_AFTER_S else back_off_s
            self._say(
                self.process.name, f"ended with {status} after {lived_s:.1f} s; restarts in {back_off_s:g} s"
            )
            if self._retired.wait(back_off_s):
                return
            back_off_s = min(BACK_OFF_MOST_S, back_off_s * 2)
            self.restarts += 1
            self._launch()

    def _listen(self) -> None:
        running = self._running
        if running is not None and running.stdout is not None:
            for line in running.stdout:
                self._say(self.process.name, line.rstrip("\n"))
