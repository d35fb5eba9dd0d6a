"""The circuit breaker: calls to an ill host fail at once, everywhere, until one trial shows that it is well."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Any, Literal

import redis

from common.coordination.listing import entries, text
from common.coordination.memory import RedisMemory
from common.coordination.names import escaped, optional, plain
from common.coordination.scripts import Script
from common.errors import CircuitOpen, Unavailable
from common.logs import get_logger
from common.metrics import BREAKER_CHANGES, BREAKER_REFUSALS, SWALLOWED

PREFIX = "fairway:breaker:"
REMEMBERED_S = 0.075
AWAY_S = 1.0
CALLS_MAX = 100
OPEN_MIN_S = 0.01
OPEN_MAX_S = 3600.0
_UNSENT_MOST = 10
_KEY = re.compile(r"fairway:breaker:{([^{}]+)}:(?:host|own:(-[^:]+|):(-[^:]+|))")
_RECORD = re.compile(r"(closed|open|trial) (\d{1,14}) (\d{1,14}) -([01]*)")
_SERVER_ERROR = 500
_TARGETS_MOST = 10_000
_GO, _TRIAL, _REFUSED = range(3)
_TRIED = {True: "1", False: "0", None: "-"}
Mode = Literal["closed", "open", "half-open"]
log = get_logger()


@dataclass(frozen=True)
class Rules:
    """*failures* of the last *of* calls open a breaker for *open_s* seconds; *tenants* of them open the host's."""

    failures: int = 5
    of: int = 10
    open_s: float = 30.0
    tenants: int = 3

    def __post_init__(self) -> None:
        if not (1 <= self.failures <= self.of <= CALLS_MAX and self.tenants >= 1):
            raise ValueError(f"A breaker counts at least one failure of at most {CALLS_MAX} calls.")
        if not OPEN_MIN_S <= self.open_s <= OPEN_MAX_S:
            raise ValueError(f"A breaker is open for {OPEN_MIN_S} to {OPEN_MAX_S} seconds.")


DEFAULT_RULES = Rules()


@dataclass(frozen=True)
class Target:
    """What is called: an outside *host* with one *credential* of one *tenant*."""

    host: str
    credential: str = ""
    tenant: str = ""
    rules: Rules = DEFAULT_RULES


@dataclass(frozen=True)
class BreakerState:
    """One breaker as operators see it; *tenant* and *credential* are `None` for a host's own."""

    key: str
    host: str
    tenant: str | None
    credential: str | None
    mode: Mode
    since: datetime
    until: datetime | None
    last_calls: str


def means_ill(error: BaseException) -> bool:
    """Tell whether *error* says that the target is ill: no connection, no answer in time, or a 5xx.

    What it answers with another status is the caller's own mistake. The status is read where HTTP clients keep it,
    `error.response.status_code`.
    """
    status = _status(error)
    return status >= _SERVER_ERROR if status is not None else isinstance(error, ConnectionError | TimeoutError)


class CircuitBreaker:
    """Breakers whose state the whole fleet shares.

        breaker = CircuitBreaker(redis.Redis())
        with breaker.guard(Target("api.example", credential="key-1", tenant="acme")):
            response = client.get(...)
            response.raise_for_status()
        # CircuitOpen: it was not called; raise Defer(error.retry_after_s)

    A breaker's state is remembered for 75 ms, so that `guard` costs a round trip only that often: for so long
    calls may still go to a host that others found ill, or not yet to one that is well. Successes are told late,
    a failure at once. While Redis does not answer, calls go on (each has its own timeouts; nothing is lost
    by trying), and a second later it is asked again. *ill* decides which errors count; with *memory*, a breaker
    whose past Redis may have lost opens at its first failure.
    """

    def __init__(
        self,
        client: "redis.Redis",
        *,
        ill: Callable[[BaseException], bool] = means_ill,
        memory: RedisMemory | None = None,
    ) -> None:
        self._client = client
        self._script = Script(client, __file__)
        self._ill = ill
        self._memory = memory
        self._known: dict[Target, _Known] = {}

    def guard(self, target: Target) -> "Guard":
        """Return the context in which to call *target* once. Entering raises `CircuitOpen`, in microseconds."""
        known = self._known.get(target)
        if known is None:
            if len(self._known) >= _TARGETS_MOST:
                self._known.clear()
            known = self._known.setdefault(target, _Known(self, target))
        return Guard(known, self._ill)

    def reset(self, target: Target, *, host: bool = False) -> None:
        """Close *target*'s breaker, or its whole host's, and forget its last calls."""
        _announce(target, self._call(target, "reset", "host" if host else "own")[4])
        self._known.pop(target, None)

    def look(self, target: Target) -> tuple[Mode, Mode]:
        """Return the state of *target*'s own breaker and of its host's."""
        answer = self._call(target, "note", "")
        return _mode(answer[2]), _mode(answer[3])

    def states(self, after: str = "", limit: int = 100) -> list[BreakerState]:
        """Return the first breakers that have a past, in the order of their keys, after the key *after*."""
        return list(islice(entries(self._client, PREFIX, after, self.state_of), limit))

    def state_of(self, key: str) -> BreakerState | None:
        """Return the breaker of that key, or `None` if it has no past. Raises `Unavailable`."""
        if not _KEY.fullmatch(key):
            return None
        try:
            (found,) = self._client.mget([key])  # which gives nothing for what is no text
            seconds, micros = self._client.time()
        except redis.RedisError as error:
            raise Unavailable("The Redis that breakers are kept in does not answer.") from error
        now = datetime.fromtimestamp(int(seconds) + int(micros) / 1_000_000, UTC)
        return _read(key, text(found or ""), now)

    def _call(self, target: Target, verb: str, *own: str) -> Any:
        rules = target.rules
        since_ms = self._memory.since_us() // 1000 if self._memory else 0
        tenant = optional(target.tenant or target.credential)
        arguments = (since_ms, rules.failures, rules.of, round(rules.open_s * 1000), rules.tenants, tenant)
        return self._script(_keys(target), verb, *arguments, *own)


class _Known:
    """What this process knows of one target: its state a moment ago, and successes that were not told yet."""

    __slots__ = ("_breaker", "_lock", "_target", "closed_until", "open_until", "refused_until", "unsent")

    def __init__(self, breaker: CircuitBreaker, target: Target) -> None:
        self._breaker = breaker
        self._target = target
        self._lock = threading.Lock()
        self.closed_until = 0.0
        self.refused_until = 0.0
        self.open_until = 0.0
        self.unsent = 0

    def enter(self) -> bool:
        """Ask for the state; tell whether this call is the trial. Raises `CircuitOpen`."""
        now = time.monotonic()
        if now < self.refused_until:
            raise self._refusal(self.open_until - now)
        code, wait_ms = self._tell("enter", "1" * self._take_unsent())
        if code == _REFUSED:
            raise self._refusal(wait_ms / 1000)
        return code == _TRIAL

    def failed(self) -> None:
        """Tell that a call found the target ill, after the successes before it."""
        self._tell("note", "1" * self._take_unsent() + "0")

    def tried(self, *, outcome: bool | None) -> None:
        """Tell what came of the trial; `None`: nothing."""
        self._tell("tried", _TRIED[outcome])

    def _tell(self, verb: str, outcomes: str) -> tuple[int, int]:
        try:
            answer = self._breaker._call(self._target, verb, outcomes)  # noqa: SLF001 (one idea in two classes)
        except Unavailable:
            SWALLOWED.labels("circuit_breaker").inc()
            self.closed_until = time.monotonic() + AWAY_S
            return _GO, 0
        code, wait_ms = int(answer[0]), int(answer[1])
        now = time.monotonic()
        self.closed_until = now + REMEMBERED_S if code == _GO else 0.0
        self.open_until = now + wait_ms / 1000
        self.refused_until = min(self.open_until, now + REMEMBERED_S) if code == _REFUSED else 0.0
        _announce(self._target, answer[4])
        return code, wait_ms

    def _take_unsent(self) -> int:
        with self._lock:
            taken, self.unsent = self.unsent, 0
        return min(taken, _UNSENT_MOST)

    def _refusal(self, wait_s: float) -> CircuitOpen:
        BREAKER_REFUSALS.inc()
        return CircuitOpen(f"{self._target.host} is ill and is not called.", retry_after_s=wait_s)


class Guard:
    """One call of a target."""

    __slots__ = ("_ill", "_is_trial", "_known")

    def __init__(self, known: _Known, ill: Callable[[BaseException], bool]) -> None:
        self._known = known
        self._ill = ill
        self._is_trial = False

    def __enter__(self) -> None:
        if time.monotonic() >= self._known.closed_until:
            self._is_trial = self._known.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            if self._is_trial:
                self._known.tried(outcome=True)
            else:
                self._known.unsent += 1
        elif self._ill(error):
            self._known.tried(outcome=False) if self._is_trial else self._known.failed()
        elif self._is_trial:
            self._known.tried(outcome=True if _status(error) is not None else None)


def _keys(target: Target) -> tuple[str, str, str]:
    host = f"{PREFIX}{{{escaped(target.host)}}}"
    own = f"{optional(target.tenant)}:{optional(target.credential)}"
    return f"{host}:own:{own}", f"{host}:host", f"{host}:opened"


def _read(key: str, record: str, now: datetime) -> BreakerState | None:
    """Read the script's record; what is none of ours is no breaker."""
    parts, found = _KEY.fullmatch(key), _RECORD.fullmatch(record)
    if parts is None or found is None:
        return None
    host, tenant, credential = parts.groups()
    mode, till_ms, noted_ms, past = found.groups()
    until = datetime.fromtimestamp(int(till_ms) / 1000, UTC)
    is_half_open = mode == "trial" or until <= now
    return BreakerState(
        key=key,
        host=plain(host),
        tenant=None if tenant is None else plain(tenant[1:]),
        credential=None if credential is None else plain(credential[1:]),
        mode="closed" if mode == "closed" else "half-open" if is_half_open else "open",
        since=datetime.fromtimestamp(int(noted_ms) / 1000, UTC),
        until=None if mode == "closed" else until,
        last_calls=past,
    )


def _announce(target: Target, changes: Any) -> None:
    for change in filter(None, text(changes).split(",")):
        which, _, mode = change.partition(" ")
        BREAKER_CHANGES.labels(mode).inc()
        log.warning("breaker.changed", host=target.host, of=which, tenant=target.tenant, to=mode)


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _mode(raw: Any) -> Mode:
    mode = text(raw)
    return "half-open" if mode in {"trial", "half-open"} else "open" if mode == "open" else "closed"
