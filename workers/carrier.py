"""A carrier at work: take a job, claim it, run it, and again, until the lanes stay empty or the worker closes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.errors import Unavailable
from common.jobs.lanes import Member
from common.jobs.leases import Claimed
from common.logs import get_logger
from common.metrics import SWALLOWED
from common.services import Services
from workers.clerk import Clerk, Ended
from workers.context import Context, Signals
from workers.events import JobEvents
from workers.holding import Holding
from workers.runner import run

STAY_S = 30.0
WAIT_STEP_S = 0.5
log = get_logger()


@dataclass(frozen=True)
class Place:
    """Where a carrier works: the parts of its process that outlive it."""

    services: Services
    worker: str
    queue: str
    clerk: Clerk
    events: JobEvents
    holding: Holding
    is_closing: Callable[[], bool]
    signals_for: Callable[[Claimed], Signals]


def work(place: Place, carrier: str) -> int:
    """Work until there is nothing to do for the linger time, then leave; return how many jobs were run.

    While MongoDB or Redis does not answer the carrier leaves: what it took is offered again by its deadline, and
    the parent's next sign of life sends another carrier.
    """
    place.holding.carrier(carrier)
    count = 0
    try:
        count = _work(place, carrier)
    except (Unavailable, PyMongoError) as error:
        SWALLOWED.labels("carrier").inc()
        log.warning("carrier.left", carrier=carrier, error=type(error).__name__)
    finally:
        place.holding.carrier(None)
    return count


def _work(place: Place, carrier: str) -> int:
    count, settled = 0, list[Member]()
    leaves_at = time.monotonic() + STAY_S
    while True:
        stays = time.monotonic() < leaves_at and not place.is_closing()
        if not stays:
            place.services.lanes.part(place.queue, carrier, settled)
            return count
        linger_s = place.services.settings.linger_s
        member = place.services.lanes.take(place.queue, carrier, linger_s=linger_s, settled=settled)
        settled = []
        if member is not None:
            settled.append(member)
            count += _run(place, member)
        elif not _wait(place, carrier, linger_s):
            leaves_at = 0.0


def _run(place: Place, member: Member) -> bool:
    claimed = place.services.jobs.claim(member, place.worker)
    if claimed is None:
        return False  # somebody else has it, or it has ended
    place.holding.add(claimed)
    place.events.started(claimed)
    started = time.perf_counter()
    outcome = run(claimed, Context(place.services, claimed, place.signals_for(claimed)))
    place.holding.ended(claimed)
    place.clerk.put(Ended(claimed, outcome, time.perf_counter() - started))
    return True


def _wait(place: Place, carrier: str, linger_s: float) -> bool:
    """Wait for work in short steps, so that a closing worker is noticed; tell whether some came."""
    place.clerk.hurry()
    ends_at = time.monotonic() + linger_s
    while (left_s := ends_at - time.monotonic()) > 0 and not place.is_closing():
        if place.services.lanes.wait(place.queue, carrier, min(WAIT_STEP_S, left_s)):
            return True
    return False
