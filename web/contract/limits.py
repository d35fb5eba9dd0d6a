"""Rate limits: every request counts, for the caller's organization or, without credentials, for its address.

The fleet shares the counts. While their Redis does not answer, each process goes on with a cap of its own: the API
is there for its callers, and a short while of too many requests harms less than refusing them all.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from common.caller import Caller
from common.config import Settings
from common.coordination.local_cap import LocalCap
from common.coordination.rate_limiter import PERMITS_MAX, Limit, RateLimiter, SlidingWindow, Standing, Verdict
from common.errors import TooMany, Unavailable
from common.metrics import RATE_LIMITS_ALONE
from common.tenancy.tiers import Allowance
from web.contract import authentication
from web.contract.addresses import client_address, subscriber
from web.contract.probes import is_probe
from web.contract.services import services

F = TypeVar("F", bound=Callable[..., Any])
PURPOSE = "api"
WHOLE = 10
"""What a request costs, in tenths; a look at one's own job costs one."""
QUOTA_MAX = PERMITS_MAX // WHOLE
"""The largest quota that a tier may have, of any window."""
MINUTE_S, HOUR_S = 60, 3600
_RESOLUTION = 256
_QUIET_S = 1.0


def a_look(view: F) -> F:
    """Let *view* cost a tenth: it is what a client does while it waits."""
    view.costs_a_tenth = True  # type: ignore[attr-defined]
    return view


@dataclass(frozen=True)
class Policy:
    """One quota as the headers name it: *quota* requests in *window_s* seconds."""

    name: str
    quota: int
    window_s: int

    @cached_property
    def limit(self) -> SlidingWindow:
        """Return it in tenths; memory is bounded whatever the quota."""
        return SlidingWindow(self.quota * WHOLE, self.window_s, resolution_s=self.window_s / _RESOLUTION)


class Limits:
    """The limiter of one process: the shared one, or its own cap while that is away."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self._cap = LocalCap()
        self._probe = threading.Lock()
        self._is_alone = False
        self._alone_until = 0.0

    def take(self, key: str, policies: tuple[Policy, ...], cost: int) -> Verdict:
        """Take *cost* tenths from every policy of *key*, or none; never raises for a Redis that is away."""
        limits = [policy.limit for policy in policies]
        if not self._is_alone:
            return self._try(key, limits, cost)
        if time.monotonic() >= self._alone_until and self._probe.acquire(blocking=False):
            try:  # one request at a time pays for finding out whether it is back
                return self._try(key, limits, cost)
            finally:
                self._probe.release()
        return self._take_alone(key, limits, cost)

    def _try(self, key: str, limits: Sequence[Limit], cost: int) -> Verdict:
        try:
            verdict = self._limiter.take(key, limits, cost)
        except Unavailable:
            self._is_alone, self._alone_until = True, time.monotonic() + _QUIET_S
            return self._take_alone(key, limits, cost)
        self._is_alone = False
        return verdict

    def _take_alone(self, key: str, limits: Sequence[Limit], cost: int) -> Verdict:
        RATE_LIMITS_ALONE.labels(PURPOSE).inc()
        return self._cap.take(key, limits, cost)


def register(app: Flask, settings: Settings) -> None:
    """Count every request of *app*, and show how its limits stand with every answer."""
    if settings.rate_limits == "on":
        app.before_request(_count)
        app.after_request(_show)


def is_counted(path: str) -> bool:
    """Tell whether requests to *path* count; what balancers look at all the time does not."""
    return not is_probe(path)


def limit_attempts(what: str, account: str | None = None) -> None:
    """Count this request as an attempt at *what* from its address, and at *account* from there.

    Both are counted by address, so that nobody can lock another out. Raises `TooMany`.
    """
    settings = services().settings
    if settings.rate_limits == "off":
        return
    address = subscriber(client_address())
    by_address = Policy(what, settings.attempts_per_minute, MINUTE_S)
    _take(f"{what}:{address}", (by_address,), WHOLE)
    if account is not None:
        by_account = Policy(f"{what}-account", settings.account_attempts_per_minute, MINUTE_S)
        mark = hashlib.sha256(f"{address} {account}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        _take(f"{what}-account:{mark}", (by_account,), WHOLE)


def _count() -> None:
    if not is_counted(request.path):
        return
    caller = authentication.peek()
    if caller is None:
        most = services().settings.address_requests_per_minute
        _take(f"address:{subscriber(client_address())}", (Policy("address", most, MINUTE_S),), WHOLE)
        return
    view = current_app.view_functions.get(request.endpoint or "")
    cost = 1 if getattr(view, "costs_a_tenth", False) else WHOLE
    _take(f"organization:{caller.party}", policies_of(_allowance(caller)), cost)


def _take(key: str, policies: tuple[Policy, ...], cost: int) -> None:
    """Take, and note it for the headers. Raises `TooMany`."""
    verdict = _limits().take(key, policies, cost)
    shown: list[tuple[Policy, Standing]] = g.setdefault("rate_limits", [])
    shown.extend(zip(policies, verdict.standings, strict=True))
    if not verdict.allowed:
        quotas = " and ".join(f"{policy.quota} in {policy.window_s} s" for policy in policies)
        raise TooMany(
            f"At most {quotas} ({policies[0].name}).", retry_after_s=max(1, math.ceil(verdict.retry_after_s))
        )


def _show(response: Response) -> Response:
    shown: list[tuple[Policy, Standing]] = g.get("rate_limits", [])
    if shown:
        policies = (f'"{one.name}";q={one.quota};w={one.window_s}' for one, _ in shown)
        standings = (
            f'"{one.name}";r={standing.remaining // WHOLE};t={math.ceil(standing.reset_after_s)}'
            for one, standing in shown
        )
        response.headers["RateLimit-Policy"] = ", ".join(policies)
        response.headers["RateLimit"] = ", ".join(standings)
    return response


def _limits() -> Limits:
    found = current_app.extensions.get("fairway.limits")
    if found is None:
        found = current_app.extensions.setdefault("fairway.limits", Limits(services().limiter(PURPOSE)))
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def policies_of(allowance: Allowance) -> tuple[Policy, ...]:
    """Return the quotas of an organization that may use so much."""
    return (
        Policy("minute", allowance.requests_a_minute, MINUTE_S),
        Policy("hour", allowance.requests_an_hour, HOUR_S),
    )


def _allowance(caller: Caller) -> Allowance:
    if caller.party != caller.org_id:
        return services().tiers["free"]
    return services().steering.allowance_of(caller.org_id)
