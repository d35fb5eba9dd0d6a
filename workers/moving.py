"""Moving what was counted beside the sweep, and warning of what is nearly used up, in a thread of its own."""

import threading

from common import metrics
from common.logs import get_logger
from common.services import Services

MOVES_EVERY_S = 10.0
log = get_logger()


class Moving:
    """Moves every ten seconds while this sweeper leads; *stopped* ends it."""

    def __init__(self, services: Services, stopped: threading.Event) -> None:
        self._services = services
        self._stopped = stopped
        self._leads = False
        self._thread = threading.Thread(target=self._work, name="moving", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def lead(self, leads: bool) -> None:  # noqa: FBT001 (a fact, not an option)
        """Say whether this sweeper leads."""
        self._leads = leads

    def _work(self) -> None:
        while not self._stopped.wait(MOVES_EVERY_S):
            if not self._leads:
                continue
            try:
                moved = self._services.mover.once()
                self._services.usage_warnings.look(moved)
            except Exception as error:  # noqa: BLE001 (whatever one pass meets, the next one is made)
                metrics.SWALLOWED.labels("moving").inc()
                log.warning("moving.failed", error=type(error).__name__)
