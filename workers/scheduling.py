"""Starting what is due beside the sweep: a thread of its own, because starting jobs must not hold the sweep up."""

import threading

from common import metrics
from common.logs import get_logger
from common.services import Services

log = get_logger()


class Scheduling:
    """Starts the sources that are due while this sweeper leads, as often as it sweeps; *stopped* ends it."""

    def __init__(self, services: Services, stopped: threading.Event) -> None:
        self._services = services
        self._stopped = stopped
        self._leads = False
        self._thread = threading.Thread(target=self._work, name="scheduling", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def lead(self, leads: bool) -> None:  # noqa: FBT001 (a fact, not an option)
        """Say whether this sweeper leads."""
        self._leads = leads

    def _work(self) -> None:
        while not self._stopped.wait(self._services.settings.sweep_s):
            if not self._leads:
                continue
            try:
                self._start_due()
            except Exception as error:  # noqa: BLE001 (whatever one pass meets, the next one is made)
                metrics.SWALLOWED.labels("scheduling").inc()
                log.warning("scheduling.failed", error=type(error).__name__)

    def _start_due(self) -> None:
        """Make a pass after the other while there is something due; what was put off waits for the next sweep."""
        while self._leads and not self._stopped.is_set():
            done = self._services.schedule.once()
            if not (done.started or done.skipped or done.settled):
                return
            log.info("scheduling.done", started=done.started, skipped=done.skipped, settled=done.settled)
