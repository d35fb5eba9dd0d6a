"""Signing keys rotate without signing anybody out, and one that leaked is refused at once."""

import threading
from datetime import timedelta

import pytest

from common.errors import NotFound, Unauthenticated
from common.ids import JobId, new_id
from common.organizations.signing_keys import AHEAD_S, KEPT_S, SigningKeys
from common.organizations.tokens import ACCESS_S, JOB_TOKEN_S, Tokens
from common.tenancy.changes import Changes
from common.tenancy.control import ControlPlane
from tests.integration.organizations.test_tokens import KEYS, ORG, MovableClock, issue

LASTS = timedelta(days=30)


@pytest.fixture
def clock() -> MovableClock:
    """Return a clock that stands still."""
    return MovableClock()


def process(control: ControlPlane, clock: MovableClock) -> tuple[SigningKeys, Tokens]:
    """Return the keys and the tokens of one process."""
    keys = SigningKeys(control, KEYS, clock, Changes(control), lasts=LASTS)
    return keys, Tokens(keys, clock)


def later(clock: MovableClock, seconds: float) -> None:
    clock.at += timedelta(seconds=seconds)


def test_the_next_key_is_shown_before_it_signs(control: ControlPlane, clock: MovableClock) -> None:
    keys, tokens = process(control, clock)
    _, other = process(control, clock)
    first = keys.signing()

    following = keys.rotate()

    assert keys.signing() == first
    assert [one["kid"] for one in (one.public() for one in keys.all())] == [first.kid, following.kid]
    later(clock, AHEAD_S)
    assert keys.signing().kid == following.kid
    assert other.verify(issue(tokens)).org_id == ORG


def test_a_token_outlives_the_rotation_of_its_key(control: ControlPlane, clock: MovableClock) -> None:
    keys, tokens = process(control, clock)
    keys.rotate()
    later(clock, AHEAD_S - 1)
    job_id = JobId(new_id())
    old, long_lived = issue(tokens), tokens.issue_job_token(ORG, job_id)
    later(clock, ACCESS_S - 1)

    assert tokens.verify(old).org_id == ORG
    later(clock, JOB_TOKEN_S - ACCESS_S)
    assert tokens.verify(long_lived).only_job == job_id


def test_a_key_goes_when_its_last_token_is_over(control: ControlPlane, clock: MovableClock) -> None:
    keys, _ = process(control, clock)
    first = keys.signing()
    keys.rotate()
    later(clock, AHEAD_S + KEPT_S + 61)

    assert keys.find(first.kid) is None
    assert control.signing_keys.count_documents({}) == 1


def test_a_key_that_signed_for_a_month_gets_a_successor_by_itself(
    control: ControlPlane, clock: MovableClock
) -> None:
    keys, tokens = process(control, clock)
    first = keys.signing()
    later(clock, LASTS.total_seconds())

    assert len(keys.all()) == 2
    assert keys.signing() == first
    later(clock, AHEAD_S)
    assert keys.signing().number == first.number + 1
    assert tokens.verify(issue(tokens)).org_id == ORG


def test_a_withdrawn_key_is_refused_everywhere_and_another_signs(
    control: ControlPlane, clock: MovableClock
) -> None:
    keys, tokens = process(control, clock)
    _, other = process(control, clock)
    leaked = issue(tokens)
    assert other.verify(leaked).org_id == ORG

    keys.withdraw(keys.signing().kid)
    later(clock, 2)

    for one in (tokens, other):
        with pytest.raises(Unauthenticated):
            one.verify(leaked)
    assert other.verify(issue(tokens)).org_id == ORG
    with pytest.raises(NotFound):
        keys.withdraw("unknown")


def test_processes_that_rotate_at_once_make_one_key(control: ControlPlane, clock: MovableClock) -> None:
    process(control, clock)[0].signing()
    later(clock, LASTS.total_seconds())
    processes = [process(control, clock)[0] for _ in range(6)]
    together = threading.Barrier(6)

    def look(keys: SigningKeys) -> None:
        together.wait()
        keys.all()

    threads = [threading.Thread(target=look, args=(keys,)) for keys in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert control.signing_keys.count_documents({}) == 2


def test_the_key_of_a_version_before_goes_on(control: ControlPlane, clock: MovableClock) -> None:
    from joserfc.jwk import OKPKey

    pair = OKPKey.generate_key("Ed25519", {"kid": "old"})
    place = {"org_id": "platform", "collection": "signing_keys", "field": "private", "id": "current"}
    sealed = KEYS.encrypt(pair.as_pem(private=True), **place)
    control.signing_keys.insert_one({"_id": "current", "kid": "old", "private": sealed, "created_at": clock.now()})

    keys, tokens = process(control, clock)

    assert keys.signing().kid == "old"
    assert tokens.verify(issue(tokens)).org_id == ORG
    assert keys.rotate().number == 1
