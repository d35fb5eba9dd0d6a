"""The limiter against a model of a few lines: whatever is asked, in whatever order, the answers are the same.

The model keeps every permit ever given. Redis's clock is held by the test, so instants are compared to the µs.
"""

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from common.coordination.rate_limiter import Limit, RateLimiter, SlidingWindow, TokenBucket
from common.errors import CostAboveLimit, RateLimited
from tests.integration.coordination.conftest import Stand, faked, on_clock

US = 1_000_000
KEYS = ("a", "b:{*}")
LIVES = {"fakeredis": 150, "redis 6.2": 60}
_stands: list[Stand] = []


@dataclass
class Ledger:
    """All permits of one key: (µs, cost), in the order of giving, and until when it is held back."""

    given: list[tuple[int, int]] = field(default_factory=list)
    held_until: int = 0

    def wait(self, limit: Limit, cost: int, now: int) -> int:
        """Return the µs until *cost* permits are free, by trying every instant at which something changes."""
        booked = max([at for at, _ in self.given], default=0)
        instants = sorted({now, max(now, booked), *self._changes(limit, cost, now)})
        return next(at - now for at in instants if at >= max(now, booked) and self._fits(limit, cost, at))

    def _changes(self, limit: Limit, cost: int, now: int) -> list[int]:
        per = round(limit.per_s * US)
        if isinstance(limit, SlidingWindow):
            return [at + per for at, _ in self.given if at + per > now]
        each = -(-per // limit.permits)
        return [max(now, self._full(limit) + (cost - limit.most_at_once) * each)]

    def _fits(self, limit: Limit, cost: int, at: int) -> bool:
        per = round(limit.per_s * US)
        if isinstance(limit, SlidingWindow):
            return sum(paid for given, paid in self.given if given > at - per) + cost <= limit.permits
        each = -(-per // limit.permits)
        return max(self._full(limit), at) + cost * each <= at + limit.most_at_once * each

    def _full(self, limit: TokenBucket) -> int:
        """Return when the bucket is full again, from all that was ever given."""
        each, full = -(-round(limit.per_s * US) // limit.permits), 0
        for at, cost in self.given:
            full = max(full, at) + cost * each
        return full

    def remaining(self, limit: Limit, now: int) -> int:
        """Return the permits left, none booked ahead counted as free."""
        per = round(limit.per_s * US)
        if isinstance(limit, SlidingWindow):
            return max(0, limit.permits - sum(cost for at, cost in self.given if at > now - per))
        each = -(-per // limit.permits)
        return max(0, limit.most_at_once - -(-max(0, self._full(limit) - now) // each))


windows = st.builds(
    SlidingWindow,
    permits=st.integers(1, 8),
    per_s=st.sampled_from([0.05, 1.0, 7.5]),
)
buckets = st.builds(
    TokenBucket, permits=st.integers(1, 8), per_s=st.sampled_from([0.05, 1.0, 7.5]), burst=st.integers(0, 9)
)


class Callers(RuleBasedStateMachine):
    """Callers who take, book, are penalized and let time pass."""

    lived = 0

    @initialize(
        limits=st.lists(
            st.one_of(windows, buckets), min_size=1, max_size=3, unique_by=lambda x: (type(x), x.per_s)
        )
    )
    def begin(self, limits: list[Limit]) -> None:
        Callers.lived += 1
        self.stand = _stands[-1]
        self.stand.client.flushall()
        self.limiter = RateLimiter(self.stand.client)
        self.limits = limits
        self.ledgers = {key: Ledger() for key in KEYS}

    @property
    def now(self) -> int:
        seconds, micros = self.stand.client.time()
        return int(seconds) * US + int(micros)

    @rule(milliseconds=st.sampled_from([0.001, 1, 10, 49.999, 50, 333, 1000, 4000]))
    def time_passes(self, milliseconds: float) -> None:
        self.stand.advance(milliseconds / 1000)

    @rule(key=st.sampled_from(KEYS), cost=st.integers(1, 9))
    def take(self, key: str, cost: int) -> None:
        ledger = self.ledgers[key]
        if cost > min(limit.most_at_once for limit in self.limits):
            with pytest.raises(CostAboveLimit):
                self.limiter.take(key, self.limits, cost)
            return
        held = max(0, ledger.held_until - self.now)
        wait = max([held, *(ledger.wait(limit, cost, self.now) for limit in self.limits)])

        verdict = self.limiter.take(key, self.limits, cost)

        assert verdict.allowed == (wait == 0)
        assert round(verdict.retry_after_s * US) == wait
        if verdict.allowed:
            ledger.given.append((self.now, cost))
        left = [ledger.remaining(limit, self.now) for limit in self.limits]
        assert [standing.remaining for standing in verdict.standings] == left

    @rule(key=st.sampled_from(KEYS), cost=st.integers(1, 9))
    def book(self, key: str, cost: int) -> None:
        ledger = self.ledgers[key]
        if cost > min(limit.most_at_once for limit in self.limits):
            return
        held = max(0, ledger.held_until - self.now)
        wait = max([held, *(ledger.wait(limit, cost, self.now) for limit in self.limits)])
        if wait > max(round(limit.per_s * US) for limit in self.limits):
            with pytest.raises(RateLimited):
                self.limiter.reserve(key, self.limits, cost)
            return

        delay_s = self.limiter.reserve(key, self.limits, cost)

        assert round(delay_s * US) == wait
        ledger.given.append((self.now + wait, cost))

    @rule(key=st.sampled_from(KEYS), seconds=st.sampled_from([0.03, 2]))
    def penalize(self, key: str, seconds: float) -> None:
        self.limiter.penalize(key, seconds)
        ledger = self.ledgers[key]
        ledger.held_until = max(ledger.held_until, self.now + round(seconds * US))

    @rule()
    def everything_expires(self) -> None:
        self.stand.advance(300)
        assert self.stand.client.keys() == []

    def teardown(self) -> None:
        for ledger in getattr(self, "ledgers", {}).values():
            for limit in self.limits:
                assert_never_more(limit, ledger.given)


def assert_never_more(limit: Limit, given: list[tuple[int, int]]) -> None:
    """Hold the law itself against what was really given: in no window more than the limit."""
    per = round(limit.per_s * US)
    for end, _ in given:
        paid = sum(cost for at, cost in given if end - per < at <= end)
        most = limit.permits if isinstance(limit, SlidingWindow) else limit.most_at_once + limit.permits
        assert paid <= most, (limit, given)


@pytest.mark.parametrize("kind", LIVES)
def test_the_limiter_answers_as_its_model(kind: str, request: pytest.FixtureRequest) -> None:
    assert _live(kind, request, LIVES[kind], derandomize=True) >= LIVES[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", LIVES)
def test_the_limiter_answers_as_its_model_for_long(kind: str, request: pytest.FixtureRequest) -> None:
    assert _live(kind, request, LIVES[kind] * 10) >= LIVES[kind]


def _live(kind: str, request: pytest.FixtureRequest, lives: int, *, derandomize: bool = False) -> int:
    before = Callers.lived
    options = settings(
        max_examples=lives,
        stateful_step_count=40,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    if kind == "fakeredis":
        with faked() as stand:
            _stands.append(stand)
            run_state_machine_as_test(Callers, settings=options)
    else:
        server, clock = request.getfixturevalue("clocked")
        _stands.append(on_clock(server, clock))
        run_state_machine_as_test(Callers, settings=options)
    return Callers.lived - before
