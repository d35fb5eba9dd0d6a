"""A sweeper: `python -m workers.sweeper`. Run two; one leads, the other takes over when it is gone."""

import signal
import sys
import threading
import time
from types import FrameType

from pymongo.errors import PyMongoError

from common import logs, metrics
from common.config import Settings, current
from common.errors import Misconfigured, Unavailable
from common.jobs.sweep import Leadership
from common.services import Services
from workers.cleaning import Cleaning
from workers.moving import Moving
from workers.scheduling import Scheduling

LEAD_LASTS_SWEEPS = 3
CAPACITY_EVERY_S = 30.0
log = logs.get_logger()


def sweep_until(stopped: threading.Event, services: Services) -> None:
    """Sweep whenever we lead, until *stopped* is set; then let the other one lead at once."""
    sweep_s = services.settings.sweep_s
    leadership = Leadership(services.control, ttl_s=LEAD_LASTS_SWEEPS * sweep_s)
    sweep = services.sweep(still_leading=leadership.hold)
    beside = (Cleaning(services, stopped), Scheduling(services, stopped), Moving(services, stopped))
    for one in beside:
        one.start()
    led, wait_s, publishes_at = False, 0.0, 0.0
    while not stopped.wait(wait_s):
        wait_s = sweep_s
        try:
            leads = leadership.hold()
            if leads != led:
                log.info("sweeper.leads" if leads else "sweeper.follows")
                led = leads
                for one in beside:
                    one.lead(leads)
            if leads:
                sweep.once()
                if time.monotonic() >= publishes_at:
                    services.capacity.publish()
                    publishes_at = time.monotonic() + CAPACITY_EVERY_S
                wait_s = 0.0 if sweep.is_rebuilding else sweep_s
        except (Unavailable, PyMongoError) as error:
            metrics.SWALLOWED.labels("sweep").inc()
            log.warning("sweep.failed", error=type(error).__name__, cause=str(error.__cause__ or error)[:200])
    leadership.release()


def main(settings: Settings) -> None:
    """Run one sweeper until SIGTERM or SIGINT."""
    logs.configure(process="sweeper", as_json=settings.log_format == "json", level=settings.log_level)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    services = Services.open(settings, process="sweeper")
    services.prepare()
    metrics.serve(settings.metrics_host, settings.metrics_port)
    services.figures.start()
    services.meter.start()
    log.info("sweeper.ready", every_s=settings.sweep_s)
    sweep_until(stopped, services)
    services.close()


if __name__ == "__main__":
    try:
        main(current())
    except Misconfigured as error:
        sys.exit(error.detail)
