"""What a child holds at this moment, told to its parent through shared memory."""

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from common.jobs.kind import KINDS
from common.jobs.leases import Claimed
from workers.context import Signals
from workers.slots import Slot

HARD_LIMIT_OF_UNKNOWN_KINDS_S = 60.0
BURIED_WITHIN_S = 2.5  # Celery kills a child that is not up within four seconds
LOOK_EVERY_S = 0.02


class Holding:
    """The leases of one child, its carrier, and what it runs. Written by its two threads, read by the parent."""

    def __init__(self, slot: Slot) -> None:
        _await_burial(slot)
        self._slot = slot
        self._lock = threading.Lock()
        self._carrier: str | None = None
        self._leases: dict[str, dict[str, Any]] = {}
        self.pause()
        self._post()

    def carrier(self, identity: str | None) -> None:
        """Note the carrier that this child works for."""
        with self._lock:
            self._carrier = identity
            self._post()

    def add(self, claimed: Sequence[Claimed]) -> None:
        """Note leases. None of these jobs is charged with a death of this process before it is begun."""
        leases = {
            one.token: {
                "org_id": one.org_id,
                "job_id": one.job_id,
                "kind": one.kind,
                "token": one.token,
                "losses": one.losses,
                "priority": one.priority,
            }
            for one in claimed
        }
        with self._lock:
            self._leases.update(leases)
            self._post()

    def remove(self, claimed: Sequence[Claimed]) -> None:
        """Note that these leases are no longer held."""
        with self._lock:
            for one in claimed:
                self._leases.pop(one.token, None)
            self._post()

    def begin(self, claimed: Claimed) -> None:
        """Note that the handler of this job runs, and the moment at which the parent kills this process for it."""
        kind = KINDS.get(claimed.kind)
        limit_s = kind.terms.time_limit_s if kind else HARD_LIMIT_OF_UNKNOWN_KINDS_S
        self._slot.running.post({"token": claimed.token, "ends_at": time.monotonic() + limit_s})

    def pause(self) -> None:
        """Note that no handler runs: the ends of the last ones are still to be written, and nobody is to blame."""
        self._slot.running.post(None)

    def _post(self) -> None:
        self._slot.held.post({"pid": os.getpid(), "carrier": self._carrier, "leases": list(self._leases.values())})


def _await_burial(slot: Slot) -> None:
    """Wait until the parent has given back what the child that died in this slot held: its letter goes now.

    Celery replaces a dead child sooner than the parent looks again. Were its letter lost, its jobs would wait for
    their leases to run out, and those that had ended already would be charged with its death.
    """
    deadline = time.monotonic() + BURIED_WITHIN_S
    while (letter := slot.held.read()) and letter["leases"] and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


class NotesOfTheParent(Signals):
    """What the parent says about one lease; reading it costs no I/O."""

    def __init__(self, slot: Slot, claimed: Claimed, is_closing: Any) -> None:
        self._slot = slot
        self._token = claimed.token
        self._is_closing = is_closing
        self._number = -1
        self._notes: dict[str, Any] = {}

    def lease_lost(self) -> bool:
        """Tell whether the parent found the lease lost."""
        return self._token in self._read().get("lost", ())

    def cancel_requested(self) -> bool:
        """Tell whether the record asks for the job to be cancelled."""
        return self._token in self._read().get("cancelled", ())

    def closing(self) -> bool:
        """Tell whether the worker is shutting down, or the slot is borrowed and another organization needs it."""
        return bool(self._is_closing()) or self._token in self._read().get("asked_back", ())

    def _read(self) -> dict[str, Any]:
        number = self._slot.notes.number
        if number != self._number:
            self._notes = self._slot.notes.read() or {}
            self._number = number
        return self._notes
