"""Cleaning beside the sweep: a thread of its own, because a store that is slow must not hold the sweep up."""

import threading

from common import metrics
from common.logs import get_logger
from common.services import Services

CLEANS_EVERY_S = 30.0
log = get_logger()


class Cleaning:
    """Cleans every half minute while this sweeper leads; *stopped* ends it."""

    def __init__(self, services: Services, stopped: threading.Event) -> None:
        self._services = services
        self._stopped = stopped
        self._leads = False
        self._thread = threading.Thread(target=self._work, name="cleaning", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def lead(self, leads: bool) -> None:  # noqa: FBT001 (a fact, not an option)
        """Say whether this sweeper leads."""
        self._leads = leads

    def _work(self) -> None:
        while not self._stopped.wait(CLEANS_EVERY_S):
            if not self._leads:
                continue
            try:
                self._clean()
            except Exception as error:  # noqa: BLE001 (whatever one pass meets, the next one is made)
                metrics.SWALLOWED.labels("cleaning").inc()
                log.warning("cleaning.failed", error=type(error).__name__)

    def _clean(self) -> None:
        """Clean a pass after the other while there is something to do."""
        while self._leads and not self._stopped.is_set():
            done = self._services.cleaner.once()
            if not (done.deleted or done.given_up):
                return
            log.info("cleaning.done", deleted=done.deleted, given_up=done.given_up, left=done.left)
            if done.failed:  # the store is ill: the next pass is soon enough
                return
