"""`python -m deploy.local.up`: the whole stack in a terminal, until Ctrl-C."""

import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

from common.config import PREFIX, current
from common.errors import Misconfigured
from deploy.local.stack import Stack

WIDTH = 20
_COLOURS = (36, 33, 32, 35, 34, 31)


class Console:
    """Joins the lines of many processes, each behind its name; in colour on a terminal only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._width = WIDTH

    def say(self, name: str, line: str) -> None:
        """Print one line of *name*."""
        with self._lock:
            if name not in self._names:
                self._names.append(name)
                self._width = max(self._width, len(name))
            with suppress(OSError):  # nobody reads any more: the stack goes on
                print(f"{self._prefix(name)} {line}", flush=True)

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{self._width}} |"
        if not sys.stdout.isatty():
            return padded
        return f"\x1b[{_COLOURS[self._names.index(name) % len(_COLOURS)]}m{padded}\x1b[0m"


def main() -> None:
    """Start everything, say what listens, and stop everything when asked."""
    stopped = threading.Event()

    started = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not started.is_set():
            raise KeyboardInterrupt  # the start is given up, and what runs already is stopped
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, stop)
    console = Console()
    stack = Stack(current(), console.say)
    stack.start()
    started.set()
    try:
        _introduce(stack, console)
        waiter = threading.Thread(target=_say_ready, args=(stack, console), daemon=True)
        waiter.start()
        stopped.wait()
        console.say("up", "stopping")
    finally:
        stack.stop()
    console.say("up", "stopped")


def _introduce(stack: Stack, console: Console) -> None:
    settings = stack.settings
    console.say("up", f"API      {stack.url}   (the contract: {stack.url}/openapi.json)")
    console.say("up", f"Flower   {stack.flower_url}   sign in as {settings.operator_email}, {_flower_hint(stack)}")
    console.say("up", f"metrics  http://{settings.metrics_host}:{settings.metrics_port}/metrics")
    console.say("up", f"data     {settings.data_dir.resolve()}")
    console.say("up", f"operate  {_operate(stack)}")
    if stack.operator_password is not None:
        console.say(
            "up", f"operator {settings.operator_email} may sign in with {stack.operator_password} (shown once)"
        )


def _operate(stack: Stack) -> str:
    """Return the command that shows what this stack's operator may see; its addresses change with each start."""
    names = ("mongo_url", "redis_url", "broker_url")
    given = (f"{PREFIX}{name.upper()}='{getattr(stack.settings, name).get_secret_value()}'" for name in names)
    return f"{' '.join(given)} .venv/bin/python -m web.operate locks"


def _flower_hint(stack: Stack) -> str:
    if stack.flower_password is not None:
        return f"for this run with {stack.flower_password}"
    return "with the operator's password"


def _say_ready(stack: Stack, console: Console) -> None:
    try:
        stack.wait_ready()
    except Misconfigured as error:
        console.say("up", error.detail)
        return
    above = "; addresses and the operator's password stand above, in lines of `up`"
    console.say("up", f"everything runs{above if stack.operator_password else ''}; Ctrl-C stops it")
    print(f"ready {stack.url}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Misconfigured as error:
        sys.exit(error.detail)
    except KeyboardInterrupt:
        sys.exit("stopped while starting")
