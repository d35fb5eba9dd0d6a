"""The API's server: `python -m web.server`. Granian, with as many processes and threads as the settings say."""

import sys
from multiprocessing.util import Finalize

from flask import Flask
from granian import Granian
from granian.constants import Interfaces

from common import logs, metrics, tracing
from common.config import Settings, current
from common.errors import Misconfigured
from common.organizations.operator_account import ensure_operator
from common.organizations.passwords import share_cores
from common.services import Services
from web.app import create_app
from web.contract import stopping

SPARE_THREADS = 64
"""For requests that wait until it is their turn to be worked on, so that the health of the process is answered."""
log = logs.get_logger()


def application() -> Flask:
    """Make the application in a serving process."""
    settings = current()
    _log_through(settings)
    stopping.notice()
    share_cores(settings.http_workers)
    tracing.start("api")
    services = Services(settings, process="api")
    services.figures.start()
    services.changes.listen()
    services.meter.start()
    # A process of the server ends as multiprocessing's do: what atexit keeps is not called there.
    Finalize(None, services.meter.close, exitpriority=1)
    return create_app(services)


def main(settings: Settings) -> None:
    """Check what the API stands on, prepare it, and serve until SIGTERM or SIGINT."""
    _log_through(settings)
    if settings.rate_limits == "off":
        log.warning(
            "rate_limits.off", advice="for tests and benchmarks only: anybody may ask as often as they like"
        )
    services = Services.open(settings, process="api:main")
    services.prepare()
    _greet_operator(services)
    services.close()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    threads = settings.http_threads + settings.http_streams + SPARE_THREADS
    log.info("api.listens", address=f"http://{settings.http_host}:{settings.http_port}")
    Granian(
        "web.server:application",
        factory=True,
        interface=Interfaces.WSGI,
        address=settings.http_host,
        port=settings.http_port,
        workers=settings.http_workers,
        blocking_threads=threads,
        backpressure=threads,  # else as many connections as the backlog divided by the processes
        backlog=2048,
        respawn_failed_workers=True,
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=max(1, int(settings.grace_s)),
    ).serve()


def _greet_operator(services: Services) -> None:
    password = ensure_operator(services.control, services.settings, services.clock)
    if password is not None:  # to the terminal alone, once; the log would keep it
        print(f"operator {services.settings.operator_email} may sign in with {password}", file=sys.stderr)  # noqa: T201


def _log_through(settings: Settings) -> None:
    logs.configure(process="api", as_json=settings.log_format == "json", level=settings.log_level)


if __name__ == "__main__":
    try:
        main(current())
    except Misconfigured as error:
        sys.exit(error.detail)
