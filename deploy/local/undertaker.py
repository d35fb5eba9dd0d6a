"""The undertaker: kills the process groups it was told of when its teller is gone, even by `kill -9`.

It reads process group ids from standard input, `+123` to note one and `-123` to forget it; at the end of the input
nobody is left to look after them.
"""

import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Note and forget groups until the input ends, then kill what is noted."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        change, group = line[0], int(line[1:])
        if change == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
