"""`python -m workers.health QUEUE`: exit 0 if this machine's worker of it consumes (`--sweeper`: one leads).

A process that is there and takes nothing is ill: what counts is the sign of life that its parent gives in Redis.
"""

import os
import socket
import sys

# A check is a process of its own every few seconds: each would leave its files of figures there for ever.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

from common.config import current
from common.errors import FairwayError
from common.services import Services


def main(arguments: list[str]) -> str | None:
    """Return `None` if all is well, or a sentence that says what is not."""
    if len(arguments) != 1:
        return "usage: python -m workers.health QUEUE | --sweeper"
    services = Services(current(), process="health")
    try:
        if arguments[0] == "--sweeper":
            return None if services.control.somebody_sweeps() else "Nobody leads the sweep."
        here = socket.gethostname()
        if any(name.endswith(f"@{here}") for name, _ in services.lanes.workers(arguments[0])):
            return None
    except FairwayError as error:
        return error.detail
    finally:
        services.close()
    return f"No worker of the queue {arguments[0]} on {here} takes work."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
