"""A carrier at work: take jobs, claim and run them, and again, until the lanes stay empty or the worker closes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from common.errors import Unavailable
from common.jobs.lanes import UNMEASURED, Used, hold_s
from common.jobs.leases import Claimed
from common.jobs.members import Member
from common.logs import get_logger
from common.metrics import DISPATCH_SECONDS, RIDERS, SWALLOWED
from common.services import Services
from workers.clerk import Clerk, Ended
from workers.context import Context, Signals
from workers.events import JobEvents
from workers.holding import Holding
from workers.ride import Ride
from workers.runner import Outcome, run

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
    count, unclaimed = 0, list[Used]()
    lanes, settings = place.services.lanes, place.services.settings
    leaves_at = time.monotonic() + STAY_S
    while True:
        if time.monotonic() >= leaves_at or place.is_closing():
            lanes.part(place.queue, carrier, unclaimed)
            return count
        members = lanes.take(
            place.queue,
            carrier,
            linger_s=settings.linger_s,
            hold_s=hold_s(settings.lease_s),
            budget_ms=settings.ride_ms,
            released=unclaimed,
        )
        unclaimed = []
        if members:
            claimed = place.services.jobs.claim_all(members, place.worker)
            unclaimed = _not_among(members, claimed)
            count += _ride(place, claimed)
        elif not _wait(place, carrier, settings.linger_s):
            leaves_at = 0.0


def _ride(place: Place, claimed: Sequence[Claimed]) -> int:
    """Run jobs in turn, hand each to the clerk as it ends; return how many were begun."""
    if not claimed:
        return 0  # somebody else has them, or they have ended
    place.holding.add(claimed)
    RIDERS.labels(place.queue).observe(len(claimed))
    ride, count = Ride(claimed), 0
    place.clerk.mind(ride)
    while (one := ride.next()) is not None:
        if place.is_closing():
            place.clerk.put(Ended(one, Outcome("given_back"), 0.0))
            continue
        count += 1
        _run(place, one)
    place.holding.pause()
    place.clerk.hurry()
    return count


def _run(place: Place, claimed: Claimed) -> None:
    signals = place.signals_for(claimed)
    if signals.cancel_requested():  # while it rode along
        place.clerk.put(Ended(claimed, Outcome("cancelled"), 0.0))
        return
    place.holding.begin(claimed)
    place.events.started(claimed)
    waited_s = (place.services.clock.now() - claimed.ready_at).total_seconds()
    DISPATCH_SECONDS.labels(place.queue, claimed.kind).observe(max(0.0, waited_s))
    started = time.perf_counter()
    outcome = run(claimed, Context(place.services, claimed, signals))
    place.clerk.put(Ended(claimed, outcome, time.perf_counter() - started))


def _not_among(members: Sequence[Member], claimed: Sequence[Claimed]) -> list[Used]:
    if len(members) == len(claimed):
        return []
    mine = {one.job_id for one in claimed}
    return [(one, UNMEASURED) for one in members if one.job_id not in mine]


def _wait(place: Place, carrier: str, linger_s: float) -> bool:
    """Wait for work in short steps, so that a closing worker is noticed; tell whether some came."""
    ends_at = time.monotonic() + linger_s
    while (left_s := ends_at - time.monotonic()) > 0 and not place.is_closing():
        if place.services.lanes.wait(place.queue, carrier, min(WAIT_STEP_S, left_s)):
            return True
    return False
