"""What the demo kills: a worker with all its processes, once, in the middle of its work."""

import threading

from fairway import Job, Progress
from rich.console import Console

from deploy.local.stack import Stack


class Killer:
    """Kills *victim* once, as soon as some of a job's *units* are done and some are not."""

    def __init__(self, stack: Stack, console: Console, victim: str, units: str) -> None:
        self._stack = stack
        self._console = console
        self._victim = victim
        self._units = units
        self._lock = threading.Lock()
        self._done = False

    @property
    def has_killed(self) -> bool:
        """Tell whether it has done so."""
        return self._done

    def look(self, job: Job, shown: Progress) -> None:
        """Kill if this *job* is in the middle."""
        with self._lock:
            done, total = shown.done, shown.total or 0
            if not job.is_final and 0 < done < total and not self._done:
                self._done = True
                told = f"at {self._units} {done} of {total}"
                self._console.print(f"kill -9 of {self._victim}, with all its processes, {told}")
                self._stack.supervisor.kill(self._victim)

    def faults(self) -> list[str]:
        """Return what is wrong if nobody was killed."""
        if self._stack.supervisor.restarts_of(self._victim):
            return []
        return [f"{self._victim} was not killed: the work was over too soon"]
