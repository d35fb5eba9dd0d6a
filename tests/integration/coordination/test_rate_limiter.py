"""The limiter's laws by example, on fakeredis, Redis 6.2 and Redis 7."""

import pytest
import redis

from common.coordination.memory import RedisMemory
from common.coordination.rate_limiter import (
    PENALTY_MAX_S,
    Limit,
    RateLimiter,
    SlidingWindow,
    TokenBucket,
    Turn,
)
from common.errors import CostAboveLimit, RateLimited, Unavailable
from deploy.local.servers import Redis
from tests.integration.coordination.conftest import Stand

KEY = "api.example"
TWO = SlidingWindow(2, per_s=1)
HOSTILE = ["*", ":", "{}", "{", "}", "a:b{c}*d", "x" * 500, "🦀" * 100, "\udc80", "é", " ", "%2A", "\x00"]


@pytest.fixture
def limiter(stand: Stand) -> RateLimiter:
    return RateLimiter(stand.client)


@pytest.fixture
def limiter_on_still(still: Stand) -> RateLimiter:
    return RateLimiter(still.client)


def test_as_many_as_the_limit_and_no_more(stand: Stand, limiter: RateLimiter) -> None:
    verdicts = [limiter.take(KEY, TWO) for _ in range(3)]

    assert [one.allowed for one in verdicts] == [True, True, False]
    assert [one.remaining for one in verdicts] == [1, 0, 0]
    assert verdicts[2].retry_after_s == stand.about(1)
    assert verdicts[2].reset_after_s == stand.about(1)


def test_a_permit_comes_back_when_its_own_window_is_over(stand: Stand, limiter: RateLimiter) -> None:
    limiter.take(KEY, TWO)
    stand.advance(0.6)
    limiter.take(KEY, TWO)

    refused = limiter.take(KEY, TWO)
    stand.advance(0.4)
    first_is_back = limiter.take(KEY, TWO)
    second_is_not = limiter.take(KEY, TWO)

    assert (refused.allowed, refused.retry_after_s) == (False, stand.about(0.4))
    assert (first_is_back.allowed, second_is_not.allowed) == (True, False)


def test_a_refused_call_costs_nothing(stand: Stand, limiter: RateLimiter) -> None:
    limiter.take(KEY, TWO, cost=2)
    before = stand.client.dump(limiter._make_keys(KEY, (TWO,), None)[0])

    for _ in range(10):
        assert not limiter.take(KEY, TWO).allowed

    assert stand.client.dump(limiter._make_keys(KEY, (TWO,), None)[0]) == before
    stand.advance(1)
    assert limiter.take(KEY, TWO, cost=2).allowed


def test_all_of_several_limits_or_none(stand: Stand, limiter: RateLimiter) -> None:
    limits = [SlidingWindow(3, per_s=0.5), SlidingWindow(4, per_s=2), TokenBucket(10, per_s=1)]
    assert [limiter.take(KEY, limits).allowed for _ in range(4)] == [True, True, True, False]

    left = [one.remaining for one in limiter.look(KEY, limits).standings]
    stand.advance(0.5)
    fourth, fifth = limiter.take(KEY, limits), limiter.take(KEY, limits)

    assert left[:2] == [0, 1]
    assert (fourth.allowed, fifth.allowed) == (True, False)
    assert fifth.retry_after_s == stand.about(1.5)


def test_a_costly_call_waits_until_all_of_it_fits(stand: Stand, limiter: RateLimiter) -> None:
    five = SlidingWindow(5, per_s=1)
    for _ in range(5):
        limiter.take(KEY, five)
        stand.advance(0.1)

    refused = limiter.take(KEY, five, cost=3)
    cheaper = limiter.take(KEY, five, cost=1)

    assert (refused.allowed, refused.retry_after_s) == (False, stand.about(0.7))
    assert (cheaper.allowed, cheaper.retry_after_s) == (False, stand.about(0.5))


@pytest.mark.parametrize("limit", [TWO, TokenBucket(2, per_s=1), TokenBucket(100, per_s=1, burst=2)])
def test_a_cost_above_the_limit_is_an_error_at_once_and_blocks_nobody(limiter: RateLimiter, limit: Limit) -> None:
    for cost in (3, 10**12, 0, -1):
        with pytest.raises(CostAboveLimit):
            limiter.take(KEY, limit, cost=cost)
        with pytest.raises(CostAboveLimit):
            limiter.reserve(KEY, limit, cost=cost)

    assert limiter.take(KEY, limit, cost=2).allowed


def test_a_bucket_gives_its_burst_and_then_its_pace(stand: Stand, limiter: RateLimiter) -> None:
    bucket = TokenBucket(4, per_s=1, burst=2)
    assert [limiter.take(KEY, bucket).allowed for _ in range(3)] == [True, True, False]

    refused = limiter.take(KEY, bucket)
    stand.advance(0.25)
    paced = [limiter.take(KEY, bucket).allowed for _ in range(2)]
    stand.advance(1)
    saved = [limiter.take(KEY, bucket).allowed for _ in range(3)]

    assert refused.retry_after_s == stand.about(0.25)
    assert (paced, saved) == ([True, False], [True, True, False])


def test_a_reservation_books_the_next_free_moment_in_order(stand: Stand, limiter: RateLimiter) -> None:
    delays = [limiter.reserve(KEY, TWO) for _ in range(4)]

    assert delays == [0, 0, stand.about(1), stand.about(1)]
    assert not limiter.take(KEY, TWO).allowed


def test_nobody_overtakes_a_costly_reservation(stand: Stand, limiter: RateLimiter) -> None:
    five = SlidingWindow(5, per_s=1)
    limiter.take(KEY, five, cost=4)
    booked = limiter.reserve(KEY, five, cost=3)

    overtaking = limiter.take(KEY, five)
    after = limiter.reserve(KEY, five)

    assert booked == stand.about(1)
    assert not overtaking.allowed
    assert after == stand.about(1)


def test_nothing_is_booked_beyond_a_window(stand: Stand, limiter: RateLimiter) -> None:
    for _ in range(4):
        limiter.reserve(KEY, TWO)

    with pytest.raises(RateLimited) as refused:
        limiter.reserve(KEY, TWO)

    assert refused.value.retry_after_s == stand.about(1)


def test_permits_go_round_the_parties(stand: Stand, limiter: RateLimiter) -> None:
    one = SlidingWindow(1, per_s=0.5)
    limiter.take(KEY, one)
    waiting = [Turn("backfill", f"b{n}") for n in range(4)]
    delays = [limiter.reserve(KEY, one, turn=turn) for turn in waiting]
    small = Turn("small", "s0")

    ahead_of_most = limiter.reserve(KEY, one, turn=small)
    served = []
    for _ in range(5):
        stand.advance(0.5)
        served.append(next(turn for turn in [*waiting, small] if limiter.reserve(KEY, one, turn=turn) == 0))

    assert delays == [stand.about(0.5 * n) for n in (1, 2, 3, 4)]
    assert ahead_of_most == stand.about(1)
    assert [turn.party for turn in served] == ["backfill", "small", "backfill", "backfill", "backfill"]


def test_a_place_in_line_is_lost_by_who_does_not_come(still: Stand, limiter_on_still: RateLimiter) -> None:
    limiter = limiter_on_still
    one = SlidingWindow(1, per_s=1)
    limiter.take(KEY, one)
    gone, here = Turn("a", "gone"), Turn("b", "here")
    limiter.reserve(KEY, one, turn=gone)
    limiter.reserve(KEY, one, turn=here)

    still.advance(2)
    kept_for_both = limiter.look(KEY, one).waiting
    still.advance(4.5)

    assert kept_for_both == 2
    assert limiter.reserve(KEY, one, turn=here) == 0


def test_a_place_in_line_can_be_given_up(limiter: RateLimiter) -> None:
    one = SlidingWindow(1, per_s=1)
    limiter.take(KEY, one)
    limiter.reserve(KEY, one, turn=Turn("a", "1"))

    assert limiter.withdraw(KEY, one, Turn("a", "1"))
    assert not limiter.withdraw(KEY, one, Turn("a", "1"))
    assert limiter.look(KEY, one).waiting == 0


def test_who_waits_longer_than_a_window_is_told_so(stand: Stand, limiter: RateLimiter) -> None:
    limiter.take(KEY, TWO, cost=2)

    delays = [limiter.reserve(KEY, TWO, turn=Turn("a", f"{n}")) for n in range(5)]

    assert delays == [stand.about(n) for n in (1, 1, 2, 2, 3)]


def test_a_penalty_holds_everybody_back_at_once(stand: Stand, limiter: RateLimiter) -> None:
    limiter.penalize(KEY, 1)

    held = limiter.take(KEY, TWO)
    in_line = limiter.reserve(KEY, TWO, turn=Turn("a", "1"))
    elsewhere = limiter.take("other", TWO)
    stand.advance(1)

    assert (held.allowed, held.retry_after_s, in_line) == (False, stand.about(1), stand.about(1))
    assert elsewhere.allowed
    assert limiter.take(KEY, TWO).allowed


def test_a_penalty_of_one_credential_stops_nobody_else(stand: Stand, limiter: RateLimiter) -> None:
    limiter.reserve(KEY, TWO, turn=Turn("bad", "1"), credential="bad")
    limiter.take(KEY, TWO)
    limiter.reserve(KEY, TWO, turn=Turn("bad", "2"), credential="bad")
    limiter.penalize(KEY, 1000, credential="bad")

    held = limiter.reserve(KEY, TWO, turn=Turn("bad", "2"), credential="bad")
    good = limiter.reserve(KEY, TWO, turn=Turn("good", "3"), credential="good")

    assert held == stand.about(1000)
    assert good == stand.about(1)


def test_a_penalty_is_at_most_an_hour_and_never_shortened(stand: Stand, limiter: RateLimiter) -> None:
    assert limiter.penalize(KEY, 10**9) == stand.about(PENALTY_MAX_S)
    assert limiter.penalize(KEY, 5) == stand.about(PENALTY_MAX_S)
    assert limiter.penalize("other", -3) == 0
    assert limiter.look(KEY, TWO).held_s == stand.about(PENALTY_MAX_S)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_name_of_its_own(stand: Stand, limiter: RateLimiter, name: str) -> None:
    one = SlidingWindow(1, per_s=60)
    others = [other for other in [*HOSTILE, "plain"] if other != name]

    assert limiter.take(name, one, credential=name).allowed
    assert not limiter.take(name, one).allowed
    assert all(limiter.take(other, one).allowed for other in others)
    limiter.penalize(name, 9, credential=name)
    assert limiter.reserve("line", one, turn=Turn(name, name)) == 0
    assert all(key.count(b"{") == key.count(b"}") == 1 for key in stand.client.scan_iter())


@pytest.mark.parametrize("name", ["", "x" * 501])
def test_a_name_is_bounded(limiter: RateLimiter, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 500"):
        limiter.take(name, TWO)


def test_no_key_is_left_after_everything_has_expired(stand: Stand, limiter: RateLimiter) -> None:
    short = [SlidingWindow(2, per_s=0.4), TokenBucket(2, per_s=0.4)]
    for _ in range(3):
        limiter.take(KEY, short)
    for number in range(3):
        limiter.reserve(KEY, short, turn=Turn("a", f"{number}"), credential="c")
    limiter.reserve("booked", short)
    limiter.penalize(KEY, 0.4)
    limiter.penalize(KEY, 0.4, credential="c")
    stand.advance(7)

    assert stand.client.keys() == []


def test_another_limit_in_the_same_time_keeps_what_was_used(limiter: RateLimiter) -> None:
    for _ in range(3):
        limiter.take(KEY, SlidingWindow(5, per_s=60))

    raised = limiter.take(KEY, SlidingWindow(10, per_s=60))
    lowered = limiter.take(KEY, SlidingWindow(3, per_s=60))

    assert raised.remaining == 6
    assert (lowered.allowed, lowered.remaining) == (False, 0)


def test_permits_of_one_resolution_share_their_place(still: Stand, limiter_on_still: RateLimiter) -> None:
    limiter = limiter_on_still
    coarse = SlidingWindow(1000, per_s=100, resolution_s=1)
    for _ in range(200):
        limiter.take(KEY, coarse)
        still.advance(0.01)

    assert still.client.llen(limiter._make_keys(KEY, (coarse,), None)[0]) <= 3 + 2 * 3
    assert limiter.look(KEY, coarse).standings[0].remaining == 800
    still.advance(98)
    at_least_as_long = limiter.look(KEY, coarse).standings[0].remaining
    still.advance(1)
    assert at_least_as_long <= 900
    assert limiter.look(KEY, coarse).standings[0].remaining >= 899


def test_many_permits_that_left_together_leave_in_one_step(stand: Stand, limiter: RateLimiter) -> None:
    many = SlidingWindow(500, per_s=2)
    for _ in range(300):
        limiter.take(KEY, many)
        if stand.set_clock is not None:
            stand.advance(0.001)
    stand.advance(2)

    verdict = limiter.take(KEY, many)

    assert verdict.remaining == 499
    assert stand.client.llen(limiter._make_keys(KEY, (many,), None)[0]) == 5


def test_a_redis_that_forgot_gives_half_until_it_has_remembered_a_window(stand: Stand) -> None:
    ten = SlidingWindow(10, per_s=0.5)
    limiter = RateLimiter(stand.client, memory=RedisMemory(stand.client, look_every_s=0))
    stand.advance(0.6)
    bucket = TokenBucket(10, per_s=0.5)
    limiter.take("before", ten)
    stand.advance(0.5)
    trusted = sum(limiter.take(KEY, ten).allowed for _ in range(11))

    stand.client.flushall()
    forgot = [sum(limiter.take(KEY, limit).allowed for _ in range(11)) for limit in (ten, bucket)]
    stand.advance(0.5)
    remembers = sum(limiter.take("another", ten).allowed for _ in range(11))

    assert trusted == 10
    assert forgot[0] == 5
    assert forgot[1] in ({5} if stand.set_clock else {5, 6})
    assert remembers == 10


def test_a_redis_that_was_put_back_gives_half(stand: Stand) -> None:
    ten = SlidingWindow(10, per_s=20)
    answers = iter([True, False])
    memory = RedisMemory(stand.client, is_first=lambda: next(answers), look_every_s=0)
    limiter = RateLimiter(stand.client, memory=memory)
    limiter.take("other", ten)
    snapshot = {key: stand.client.dump(key) for key in stand.client.scan_iter()}
    stand.advance(2.1)
    given = sum(limiter.take(KEY, ten).allowed for _ in range(8))

    stand.client.flushall()
    for name, value in snapshot.items():
        assert isinstance(value, bytes)
        stand.client.restore(name, 0, value)
    after = sum(limiter.take(KEY, ten).allowed for _ in range(11))

    assert (given, after) == (8, 5)


def test_the_first_memory_of_all_has_nothing_to_forget(stand: Stand) -> None:
    limiter = RateLimiter(stand.client, memory=RedisMemory(stand.client, is_first=lambda: True))

    assert [limiter.take(KEY, TWO).allowed for _ in range(3)] == [True, True, False]


def test_a_clock_that_was_set_back_gives_half_and_does_not_block(still: Stand) -> None:
    ten = SlidingWindow(10, per_s=10)
    bucket = TokenBucket(10, per_s=10)
    limiter = RateLimiter(still.client)
    for limit in (ten, bucket):
        limiter.take(KEY, limit, cost=10)
    limiter.penalize("held", 100)

    still.advance(-7200)
    given = [sum(limiter.take(KEY, limit).allowed for _ in range(11)) for limit in (ten, bucket)]

    assert given == [5, 5]
    assert limiter.take("held", ten).allowed


def test_sixteen_bytes_a_permit(seven: Redis) -> None:
    client = redis.Redis(port=seven.port)
    client.flushall()
    limiter, many = RateLimiter(client), SlidingWindow(10_000, per_s=3600)
    for _ in range(10_000):
        limiter.take(KEY, many)

    key = limiter._make_keys(KEY, (many,), None)[0]

    assert client.llen(key) == 3 + 2 * 10_000
    assert client.memory_usage(key, samples=0) <= 16 * 10_000 * 1.02


@pytest.mark.parametrize(
    "limits", [[], [TWO, TWO], [TWO, SlidingWindow(5, per_s=1)], [TokenBucket(1, 1), TokenBucket(2, 1)]]
)
def test_limits_that_contradict_one_another_are_refused(limiter: RateLimiter, limits: list[Limit]) -> None:
    with pytest.raises(ValueError, match="each kind and period once"):
        limiter.take(KEY, limits)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (SlidingWindow, (0, 1)),
        (SlidingWindow, (1, 0)),
        (SlidingWindow, (10**9, 1)),
        (SlidingWindow, (1, 1e9)),
        (SlidingWindow, (1, 1, 2)),
        (TokenBucket, (2_000_000, 1)),
        (TokenBucket, (1, 1, -1)),
    ],
)
def test_a_limit_that_makes_no_sense_can_not_be_made(kind: type, arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"limit|window|bucket"):
        kind(*arguments)


def test_what_is_no_state_of_ours_counts_as_lost(stand: Stand, limiter: RateLimiter) -> None:
    key = limiter._make_keys(KEY, (TWO,), None)[0]
    stand.client.rpush(key, "x", "y", "z", "🦀", "?")

    assert limiter.take(KEY, TWO).allowed
    assert stand.client.lindex(key, 0) == b"2"


def test_a_server_that_still_loads_its_data_is_unavailable(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def loading(*_: object, **__: object) -> list[object]:
        return [redis.BusyLoadingError("LOADING")] * 3

    def refuse(*_: object) -> None:
        raise redis.BusyLoadingError("LOADING")

    limiter = RateLimiter(stand.client, memory=RedisMemory(stand.client))
    monkeypatch.setattr("redis.client.Pipeline.execute", loading)
    monkeypatch.setattr(limiter._script, "_execute", refuse)

    with pytest.raises(Unavailable):
        limiter.take(KEY, TWO)


def test_a_key_of_another_type_refuses_nobody_for_good(stand: Stand, limiter: RateLimiter) -> None:
    limits = (TWO, TokenBucket(2, per_s=1))
    for key in limiter._make_keys(KEY, limits, "c"):
        stand.client.flushall()
        stand.client.sadd(key, "garbage")

        assert limiter.take(KEY, limits, credential="c").allowed
        assert limiter.reserve(KEY, limits, credential="c", turn=Turn("a", "1")) == 0


def test_periods_that_differ_little_are_counted_apart(limiter: RateLimiter) -> None:
    long, longer = SlidingWindow(1, per_s=1_234_567.0), SlidingWindow(1, per_s=1_234_567.5)

    assert limiter.take(KEY, long).allowed
    assert limiter.take(KEY, longer).allowed
