"""The breaker by example and against a model, on fakeredis, Redis 6.2 and Redis 7."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from common.coordination import circuit_breaker
from common.coordination.circuit_breaker import BreakerState, CircuitBreaker, Rules, Target, means_ill
from common.coordination.memory import RedisMemory
from common.errors import CircuitOpen, Unavailable
from tests.integration.coordination.conftest import Stand, faked, on_clock

RULES = Rules(open_s=0.5)
TARGET = Target("api.example", "key-1", "acme", RULES)
HOSTILE = ["*", ":", "{}", "{", "}", "a:b{c}*d", "x" * 500, "🦀" * 100, "\udc80", "é", " ", "%2A", "\x00"]


class Answered(Exception):
    """What an HTTP client raises for a status that is an error."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.response = SimpleNamespace(status_code=status)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember nothing between calls, so that each asks Redis; what is remembered has tests of its own."""
    monkeypatch.setattr(circuit_breaker, "REMEMBERED_S", 0.0)


@pytest.fixture
def breaker(stand: Stand) -> CircuitBreaker:
    return fresh(stand)


def fresh(stand: Stand) -> CircuitBreaker:
    """Return the breaker of another process: it knows only what Redis does."""
    return CircuitBreaker(stand.client)


def call(breaker: CircuitBreaker, target: Target = TARGET, error: BaseException | None = None) -> str:
    """Make one call that succeeds or raises *error*, asking Redis and telling it at once; say what came of it."""
    try:
        with breaker.guard(target):
            answer(error)
    except CircuitOpen:
        return "refused"
    except (Answered, ArithmeticError, OSError):
        return "failed"
    return "passed"


def answer(error: BaseException | None) -> None:
    if error is not None:
        raise error


def fail(breaker: CircuitBreaker, target: Target = TARGET, times: int = 5) -> list[str]:
    return [call(breaker, target, ConnectionError()) for _ in range(times)]


def test_five_failures_of_the_last_ten_open_it(stand: Stand, breaker: CircuitBreaker) -> None:
    outcomes = [call(breaker, error=ConnectionError() if bad else None) for bad in (1, 0, 0, 0, 0, 0, 1, 1, 1)]
    still_closed = breaker.look(TARGET)
    outcomes += fail(breaker, times=2)

    assert still_closed == ("closed", "closed")
    assert outcomes == ["failed", *["passed"] * 5, *["failed"] * 4, "refused"]
    with pytest.raises(CircuitOpen) as refused, fresh(stand).guard(TARGET):
        pytest.fail("it must not be called")
    assert refused.value.retry_after_s == stand.about(0.5)


def test_what_is_older_than_the_last_ten_does_not_count(breaker: CircuitBreaker) -> None:
    fail(breaker, times=4)
    for _ in range(6):
        call(breaker)
    one_left = [call(breaker) for _ in range(3)]
    outcomes = fail(breaker, times=4)

    assert one_left == ["passed"] * 3
    assert outcomes == ["failed"] * 4


def test_after_its_time_one_trial_is_let_through_and_closes_it(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.advance(0.51)
    others = [fresh(stand) for _ in range(3)]

    with fresh(stand).guard(TARGET):
        during = [call(other) for other in others]
    after = [call(other) for other in [breaker, *(fresh(stand) for _ in others)]]

    assert during == ["refused"] * 3
    assert after == ["passed"] * 4


def test_a_trial_that_fails_opens_it_again(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.advance(0.51)

    trial = call(fresh(stand), error=TimeoutError())
    after = call(fresh(stand))
    stand.advance(0.51)

    assert (trial, after) == ("failed", "refused")
    assert call(fresh(stand)) == "passed"


def test_a_trial_of_which_no_word_comes_is_followed_by_another(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.advance(0.51)
    fresh(stand).guard(TARGET).__enter__()  # and its process dies

    meanwhile = call(fresh(stand))
    stand.advance(0.51)

    assert meanwhile == "refused"
    assert call(fresh(stand)) == "passed"


def test_a_trial_that_told_nothing_lets_the_next_one_try_at_once(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.advance(0.51)

    gave_up = call(fresh(stand), error=ZeroDivisionError())

    assert gave_up == "failed"
    assert call(fresh(stand)) == "passed"


def test_a_trial_that_is_answered_with_a_mistake_of_ours_closes_it(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.advance(0.51)

    call(fresh(stand), error=Answered(404))

    assert breaker.look(TARGET) == ("closed", "closed")


@pytest.mark.parametrize(
    "error", [Answered(400), Answered(401), Answered(404), Answered(429), ZeroDivisionError()]
)
def test_mistakes_of_the_caller_do_not_count(breaker: CircuitBreaker, error: Exception) -> None:
    assert [call(breaker, error=error) for _ in range(12)] == ["failed"] * 12
    assert breaker.look(TARGET) == ("closed", "closed")


@pytest.mark.parametrize(
    "error", [Answered(500), Answered(503), ConnectionRefusedError(), TimeoutError(), BrokenPipeError()]
)
def test_what_means_that_the_target_is_ill_counts(breaker: CircuitBreaker, error: Exception) -> None:
    assert [call(breaker, error=error) for _ in range(6)] == ["failed"] * 5 + ["refused"]


def test_which_errors_count_can_be_said(stand: Stand) -> None:
    breaker = CircuitBreaker(stand.client, ill=lambda error: isinstance(error, ZeroDivisionError))

    assert [call(breaker, error=ConnectionError()) for _ in range(6)] == ["failed"] * 6
    assert [call(breaker, error=ZeroDivisionError()) for _ in range(6)] == ["failed"] * 5 + ["refused"]


def test_one_tenants_bad_credential_opens_nobody_elses(breaker: CircuitBreaker) -> None:
    fail(breaker)
    neighbours = [
        Target("api.example", "key-2", "acme", RULES),
        Target("api.example", "key-1", "other", RULES),
        Target("other.example", "key-1", "acme", RULES),
    ]

    assert call(breaker) == "refused"
    assert [call(breaker, target) for target in neighbours] == ["passed"] * 3


def test_three_tenants_that_are_open_open_the_host(stand: Stand, breaker: CircuitBreaker) -> None:
    tenants = [Target("api.example", f"key-{n}", f"tenant-{n % 3}", RULES) for n in range(5)]
    for target in (tenants[0], tenants[3], tenants[1]):  # two of them are of one tenant
        fail(breaker, target)
    before = call(breaker, Target("api.example", "k", "healthy", RULES))
    fail(breaker, tenants[2])

    after = call(breaker, Target("api.example", "k", "healthy", RULES))
    stand.advance(0.51)
    trial = call(fresh(stand), Target("api.example", "k", "healthy", RULES))

    assert (before, after, trial) == ("passed", "refused", "passed")
    assert call(fresh(stand), Target("api.example", "k", "another", RULES)) == "passed"


def test_a_host_whose_trial_fails_stays_open(stand: Stand, breaker: CircuitBreaker) -> None:
    for number in range(3):
        fail(breaker, Target("api.example", "k", f"tenant-{number}", RULES))
    stand.advance(0.51)

    call(breaker, Target("api.example", "k", "healthy", RULES), TimeoutError())

    assert call(fresh(stand), Target("api.example", "k", "another", RULES)) == "refused"


def test_all_numbers_can_be_set_for_a_target(stand: Stand, breaker: CircuitBreaker) -> None:
    touchy = Target("api.example", rules=Rules(failures=1, of=1, open_s=0.2, tenants=1))

    assert fail(breaker, touchy, 2) == ["failed", "refused"]
    stand.advance(0.21)
    assert call(breaker, touchy) == "passed"


@pytest.mark.parametrize(
    "numbers", [{"failures": 0}, {"failures": 11}, {"of": 101}, {"open_s": 0}, {"open_s": 1e9}, {"tenants": 0}]
)
def test_rules_that_make_no_sense_can_not_be_made(numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="A breaker"):
        Rules(**numbers)  # type: ignore[arg-type]


def test_an_operator_can_close_one(stand: Stand, breaker: CircuitBreaker) -> None:
    targets = [Target("api.example", "k", f"tenant-{number}", RULES) for number in range(3)]
    for target in targets:
        fail(breaker, target)
    own_and_host = breaker.look(targets[0])

    breaker.reset(targets[0])
    host_left = breaker.look(targets[0])
    breaker.reset(targets[0], host=True)

    assert own_and_host == ("open", "open")
    assert host_left == ("closed", "open")
    assert call(fresh(stand), targets[0]) == "passed"
    assert call(fresh(stand), targets[1]) == "refused"


def test_after_a_loss_the_first_call_decides(stand: Stand) -> None:
    memory = RedisMemory(stand.client, look_every_s=0)
    breaker = CircuitBreaker(stand.client, memory=memory)
    memory.since_us()
    stand.advance(0.51)
    before = fail(breaker, times=2)

    stand.client.flushall()
    breaker = CircuitBreaker(stand.client, memory=memory)
    probes = [call(breaker, error=ConnectionError()), call(breaker)]
    well = Target("well.example", rules=RULES)
    passed = [call(breaker, well), *fail(breaker, well, 4), call(breaker, well)]

    assert before == ["failed"] * 2
    assert probes == ["failed", "refused"]
    assert passed == ["passed", *["failed"] * 4, "passed"]


def test_a_clock_that_was_set_back_does_not_keep_it_open(still: Stand) -> None:
    fail(fresh(still))
    still.advance(-7200)
    refused = call(fresh(still))
    still.advance(0.51)

    assert refused == "refused"
    assert call(fresh(still)) == "passed"


def test_a_closed_breaker_is_remembered_for_a_moment(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "REMEMBERED_S", 60.0)
    breaker, other = fresh(stand), fresh(stand)
    call(breaker)
    calls = stand.client.info("commandstats") if stand.set_clock is None else None

    passed = [call(breaker) for _ in range(1000)]
    fail(other)

    assert passed == ["passed"] * 1000
    assert call(breaker) == "passed"
    assert call(fresh(stand)) == "refused"
    assert calls is None or calls["cmdstat_evalsha"]["calls"] >= 1


def test_successes_that_were_not_told_yet_count_before_a_failure(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "REMEMBERED_S", 60.0)
    breaker = fresh(stand)
    outcomes = fail(breaker, times=4)
    outcomes += [call(breaker) for _ in range(9)]
    outcomes += fail(breaker, times=4)

    assert "refused" not in outcomes
    assert breaker.look(TARGET) == ("closed", "closed")
    assert fail(breaker, times=2) == ["failed", "refused"]


def test_calls_go_on_while_redis_is_away(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = fresh(stand)

    def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(breaker, "_script", away)

    assert call(breaker) == "passed"
    assert fail(breaker, times=20) == ["failed"] * 20


def test_states_are_listed(breaker: CircuitBreaker) -> None:
    for number in range(3):
        fail(breaker, Target("api:{*}", "k", f"tenant-{number}", RULES))
    call(breaker, Target("well.example", rules=RULES))
    fail(breaker, Target("well.example", rules=RULES), 1)

    found: list[BreakerState] = []
    while page := breaker.states(found[-1].key if found else "", 2):
        found += page

    assert len(found) == 5
    shown = {(one.host, one.tenant, one.mode, one.last_calls) for one in found}
    assert shown == {
        *{("api:{*}", f"tenant-{number}", "open", "") for number in range(3)},
        ("api:{*}", None, "open", ""),
        ("well.example", "", "closed", "10"),
    }


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_target_of_its_own(breaker: CircuitBreaker, name: str) -> None:
    for target in (
        Target(name, rules=RULES),
        Target("one", name, "t", RULES),
        Target("two", "c", name, RULES),
    ):
        fail(breaker, target)
        assert call(breaker, target) == "refused"
    others = [Target(other, rules=RULES) for other in HOSTILE if other != name]
    assert [call(breaker, other) for other in others] == ["passed"] * len(others)


def test_no_key_is_left_after_everything_has_expired(still: Stand) -> None:
    breaker = fresh(still)
    for number in range(3):
        fail(breaker, Target("api.example", "k", f"tenant-{number}", RULES))
    call(breaker, Target("well.example", rules=RULES))
    still.advance(601)

    assert still.client.keys() == []


def test_what_means_ill() -> None:
    assert means_ill(ConnectionResetError())
    assert not means_ill(Answered(499))
    assert not means_ill(ValueError())


@dataclass
class Model:
    """One breaker in ten lines: what a fleet of callers, each asking Redis every time, must see."""

    mode: str = "closed"
    until: float = 0.0
    past: str = ""

    def call(self, now: float, *, ill: bool) -> str:
        trial = self.mode == "open" and now >= self.until
        if self.mode == "open" and not trial:
            return "refused"
        self.past = (self.past + "01"[not ill])[-10:]
        if ill and (trial or self.past.count("0") >= 5):
            self.mode, self.until, self.past = "open", now + 0.5, ""
        elif trial:
            self.mode, self.past = "closed", ""
        return "failed" if ill else "passed"


steps = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0, 0, 0, 0.11, 0.31, 0.47, 0.53]), st.integers(0, 2)),
    max_size=60,
)


@pytest.mark.parametrize("kind", ["fakeredis", "redis 6.2"])
def test_the_breaker_answers_as_its_model(kind: str, request: pytest.FixtureRequest) -> None:
    for stand in stands(kind, request):

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        @given(steps)
        def live(calls: list[tuple[bool, float, int]]) -> None:
            stand.client.flushall()  # noqa: B023 (called before the next round)
            processes, model = [fresh(stand) for _ in range(3)], Model()  # noqa: B023
            for ill, pause_s, process in calls:
                stand.advance(pause_s)  # noqa: B023
                error = ConnectionError() if ill else None
                assert call(processes[process], error=error) == model.call(stand.now_s, ill=ill)  # noqa: B023
                known = processes[process]._known[TARGET]
                known._tell("note", "1" * known._take_unsent())

        live()


def stands(kind: str, request: pytest.FixtureRequest) -> Iterator[Stand]:
    if kind == "fakeredis":
        with faked() as stand:
            yield stand
    else:
        server, clock = request.getfixturevalue("clocked")
        yield on_clock(server, clock)


def test_a_refusal_costs_no_round_trip(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "REMEMBERED_S", 60.0)
    breaker, slow_to_open = fresh(stand), Target("api.example", rules=Rules(open_s=600))
    fail(breaker, slow_to_open)

    monkeypatch.setattr(breaker, "_script", None)

    for _ in range(100):
        with pytest.raises(CircuitOpen) as refused, breaker.guard(slow_to_open):
            pytest.fail("it must not be called")
        assert refused.value.retry_after_s == pytest.approx(600, abs=60)


def test_a_reset_holds_in_every_process(stand: Stand, breaker: CircuitBreaker) -> None:
    other = fresh(stand)
    fail(other)
    refused = call(other)

    breaker.reset(TARGET)

    assert (refused, call(other)) == ("refused", "passed")


def test_what_is_no_breaker_is_not_listed(stand: Stand, breaker: CircuitBreaker) -> None:
    fail(breaker)
    stand.client.set("fairway:breaker:{a}:host", "garbage")
    stand.client.rpush("fairway:breaker:{b}:host", "garbage")
    stand.client.set("fairway:breaker:else", "closed 0 0 -1")

    assert [one.host for one in breaker.states()] == ["api.example"]
    assert call(breaker, Target("a", rules=RULES)) == "passed"
    assert call(breaker, Target("b", rules=RULES)) == "passed"
