"""The cap of one process alone: less than the whole limit, more than nothing, in bounded memory."""

import pytest

from common.coordination import local_cap
from common.coordination.local_cap import KEYS_MOST, LocalCap
from common.coordination.rate_limiter import SlidingWindow, TokenBucket

LIMITS = (SlidingWindow(100, per_s=60), SlidingWindow(1000, per_s=3600))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose one value is the time."""
    held = [1000.0]
    monkeypatch.setattr(local_cap.time, "monotonic", lambda: held[0])
    return held


@pytest.mark.usefixtures("now")
def test_a_quarter_is_given_at_once() -> None:
    cap = LocalCap()

    verdicts = [cap.take("a", LIMITS) for _ in range(30)]

    assert sum(verdict.allowed for verdict in verdicts) == 25
    assert verdicts[0].remaining == 24
    assert verdicts[-1].retry_after_s == pytest.approx(60 / 25)


def test_and_then_an_even_pace(now: list[float]) -> None:
    cap = LocalCap()
    for _ in range(25):
        cap.take("a", LIMITS[:1])
    given = 0
    for _ in range(600):
        now[0] += 0.1
        given += cap.take("a", LIMITS[:1]).allowed

    assert given == 25


@pytest.mark.usefixtures("now")
def test_a_refused_call_costs_nothing_under_any_limit() -> None:
    cap = LocalCap()
    tight, wide = SlidingWindow(4, per_s=60), SlidingWindow(400, per_s=3600)
    for _ in range(50):
        cap.take("a", (tight, wide))

    assert cap.take("a", (wide,)).remaining == 98


@pytest.mark.usefixtures("now")
def test_the_smallest_limit_still_gives_something() -> None:
    assert LocalCap().take("a", (TokenBucket(1, per_s=60),)).allowed
    assert LocalCap().take("a", (SlidingWindow(10, per_s=60),), cost=10).allowed


@pytest.mark.usefixtures("now")
def test_keys_are_forgotten_before_they_fill_the_memory() -> None:
    cap = LocalCap()

    for number in range(KEYS_MOST + 10):
        cap.take(f"{number}", LIMITS[:1])

    assert len(cap._full_at) == KEYS_MOST
