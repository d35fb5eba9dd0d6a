"""The lanes' script, one suite on fakeredis and on a real Redis: what the fake passes, the real one passes too."""

import json
from collections.abc import Iterator

import fakeredis
import pytest
import redis

from common.errors import Unavailable
from common.ids import JobId, OrgId, new_id
from common.jobs.carriers import celery_queue
from common.jobs.lanes import UNMEASURED, Beat, Lanes
from common.jobs.members import Entry, Member

QUEUE = "tickets"


@pytest.fixture(params=["fake", "real"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "fake":
        yield fakeredis.FakeRedis()
        return
    real = redis.Redis.from_url(request.getfixturevalue("settings").broker_url.get_secret_value())
    real.flushdb()
    yield real
    real.close()


@pytest.fixture
def lanes(client: redis.Redis) -> Lanes:
    return Lanes(client)


def member(org: str = "a", kind: str = "tickets.count") -> Member:
    return Member(org_id=OrgId(org), job_id=JobId(new_id()), kind=kind)


def take(lanes: Lanes, carrier: str = "1-1", *, linger_s: float = 0) -> Member | None:
    """Take one job."""
    return next(iter(lanes.take(QUEUE, carrier, linger_s=linger_s, hold_s=30)), None)


def beat(lanes: Lanes, worker: str = "w1", slots: int = 2) -> Beat:
    return lanes.beat(QUEUE, worker, slots, alive_s=5, hold_s=30)


def back(lanes: Lanes, one: Member) -> None:
    lanes.back_soon(QUEUE, [Entry(QUEUE, one, 5)])


def carriers_sent(client: redis.Redis) -> int:
    return int(client.llen(celery_queue(QUEUE)))


def test_jobs_are_taken_in_the_order_they_came(lanes: Lanes) -> None:
    jobs = [member() for _ in range(5)]
    lanes.admit(QUEUE, [(one, 5) for one in jobs])

    taken = [take(lanes) for _ in jobs]

    assert taken == jobs


def test_a_higher_priority_goes_first(lanes: Lanes) -> None:
    low, high = member(), member()
    lanes.admit(QUEUE, [(low, 1), (high, 9)])

    assert take(lanes) == high


def test_a_job_that_comes_back_goes_before_younger_ones(lanes: Lanes) -> None:
    old, *younger = [member() for _ in range(4)]
    lanes.admit(QUEUE, [(old, 5)])
    take(lanes)
    lanes.admit(QUEUE, [(one, 5) for one in younger])

    back(lanes, old)

    assert take(lanes) == old


def test_admitting_twice_is_admitting_once(lanes: Lanes) -> None:
    job = member()

    assert lanes.admit(QUEUE, [(job, 5)]) == 1
    assert lanes.admit(QUEUE, [(job, 5)]) == 0
    assert lanes.look(QUEUE).waiting == 1


def test_a_job_that_was_just_taken_is_not_admitted_again(lanes: Lanes) -> None:
    job = member()
    lanes.admit(QUEUE, [(job, 5)])
    take(lanes)

    assert lanes.admit(QUEUE, [(job, 5)]) == 0
    assert take(lanes) is None


def test_a_settled_job_may_be_admitted_again(lanes: Lanes) -> None:
    job = member()
    lanes.admit(QUEUE, [(job, 5)])
    take(lanes)
    lanes.take(QUEUE, "1-1", linger_s=0, hold_s=30, released=[(job, UNMEASURED)])

    assert lanes.admit(QUEUE, [(job, 5)]) == 1


def test_a_job_that_comes_back_is_offered_at_once_though_it_was_just_taken(lanes: Lanes) -> None:
    job = member()
    lanes.admit(QUEUE, [(job, 5)])
    take(lanes)

    back(lanes, job)

    assert take(lanes, "2-2") == job


def test_no_carrier_is_sent_while_no_worker_lives(lanes: Lanes, client: redis.Redis) -> None:
    lanes.admit(QUEUE, [(member(), 5)])

    assert carriers_sent(client) == 0


def test_a_workers_first_sign_of_life_sends_carriers_for_what_waits(lanes: Lanes, client: redis.Redis) -> None:
    lanes.admit(QUEUE, [(member(), 5), (member(), 5), (member(), 5)])

    assert beat(lanes, "w1", 2).slots == 2
    assert carriers_sent(client) == 2


def test_carriers_are_bounded_by_the_slots(lanes: Lanes, client: redis.Redis) -> None:
    beat(lanes, "w1", 2)

    for _ in range(10):
        lanes.admit(QUEUE, [(member(), 5)])

    assert carriers_sent(client) == 2


def test_a_lingering_carrier_is_woken_instead_of_a_new_one_sent(lanes: Lanes, client: redis.Redis) -> None:
    beat(lanes, "w1", 2)
    assert take(lanes, "9-9", linger_s=2) is None

    lanes.admit(QUEUE, [(member(), 5)])

    assert lanes.wait(QUEUE, "9-9", 1)
    assert carriers_sent(client) == 0


def test_a_carrier_that_parts_leaves_its_work_to_another(lanes: Lanes, client: redis.Redis) -> None:
    beat(lanes, "w1", 1)
    take(lanes, "9-9", linger_s=2)
    lanes.admit(QUEUE, [(member(), 5)])

    lanes.part(QUEUE, "9-9", [])

    assert carriers_sent(client) == 1


def test_a_sign_of_life_renews_what_is_held_and_holds_nothing_again(lanes: Lanes, client: redis.Redis) -> None:
    ended, runs = member(), member()
    lanes.admit(QUEUE, [(ended, 5), (runs, 5)])
    assert [take(lanes), take(lanes)] == [ended, runs]
    lanes.release(QUEUE, [(ended, 3.0)])

    lanes.beat(QUEUE, "w1", 2, alive_s=5, hold_s=300, claimed=[ended, runs])

    assert lanes.waiting(OrgId("a"), [QUEUE]) == (0, 1)
    holds = client.zrange("fairway:lane:all:holds", 0, -1, withscores=True)
    assert [name for name, _ in holds] == [f"{QUEUE}/{runs}".encode()]
    assert holds[0][1] > (client.time()[0] + 200) * 1000


def test_every_live_workers_slots_count_and_a_leaver_no_longer(lanes: Lanes) -> None:
    beat(lanes, "w1", 2)
    assert beat(lanes, "w2", 3).slots == 5

    lanes.leave(QUEUE, "w1", 2)

    assert lanes.look(QUEUE).slots == 3


def test_a_deferred_job_is_due_only_when_its_time_has_come(lanes: Lanes) -> None:
    now, later = member(), member()
    lanes.defer(QUEUE, now, 0)
    lanes.defer(QUEUE, later, 60)

    next_s, due = lanes.due(QUEUE)

    assert due == [now]
    assert next_s is not None
    assert 50 < next_s <= 60


def test_a_due_job_stays_until_it_is_admitted(lanes: Lanes) -> None:
    job = member()
    lanes.defer(QUEUE, job, 0)
    assert lanes.due(QUEUE)[1] == lanes.due(QUEUE)[1] == [job]

    lanes.admit(QUEUE, [(job, 5)])

    assert lanes.due(QUEUE)[1] == []
    assert take(lanes) == job


def test_a_forgotten_job_is_nowhere(lanes: Lanes) -> None:
    waiting, due = member(), member()
    lanes.admit(QUEUE, [(waiting, 5)])
    lanes.defer(QUEUE, due, 60)

    lanes.forget(QUEUE, [waiting, due])

    assert lanes.unknown(QUEUE, [waiting, due]) == {waiting, due}


def test_what_redis_knows_is_not_unknown(lanes: Lanes) -> None:
    waiting, taken, due, unknown = (member() for _ in range(4))
    lanes.admit(QUEUE, [(taken, 9), (waiting, 5)])
    take(lanes)
    lanes.defer(QUEUE, due, 60)

    assert lanes.unknown(QUEUE, [waiting, taken, due, unknown]) == {unknown}


def test_a_job_taken_and_never_claimed_is_offered_again_in_its_place(lanes: Lanes, client: redis.Redis) -> None:
    lost, next_one = member(), member()
    lanes.admit(QUEUE, [(lost, 5), (next_one, 5)])
    assert take(lanes) == lost
    client.zadd(f"fairway:lane:{QUEUE}:taken", {str(lost): 1})  # its deadline is over

    assert take(lanes) == lost
    assert lanes.look(QUEUE).retaken == 1


def test_each_vain_offer_of_a_job_waits_longer_than_the_last(lanes: Lanes, client: redis.Redis) -> None:
    job = member()
    lanes.admit(QUEUE, [(job, 5)])
    deadlines = []
    for _ in range(4):
        take(lanes)
        seconds, micros = client.time()
        deadline = client.zscore(f"fairway:lane:{QUEUE}:taken", str(job))
        deadlines.append(round((deadline - (seconds * 1000 + micros / 1000)) / 1000))
        client.zadd(f"fairway:lane:{QUEUE}:taken", {str(job): 1})

    assert deadlines == [5, 15, 60, 60]


@pytest.mark.parametrize("off_by", [-1, 3])
def test_what_a_cleared_lane_left_in_the_count_is_put_right_where_nobody_waits(
    lanes: Lanes, client: redis.Redis, off_by: int
) -> None:
    client.hset(f"fairway:lane:{QUEUE}:counters", "waiting", str(off_by))

    beat(lanes)

    assert lanes.look(QUEUE).waiting == 0


@pytest.mark.parametrize("is_paused", [False, True], ids=["in line", "paused"])
def test_who_waits_stays_counted(lanes: Lanes, client: redis.Redis, *, is_paused: bool) -> None:
    if is_paused:
        client.sadd("fairway:lane:all:paused", "a")
    lanes.admit(QUEUE, [(member(), 5), (member(), 5)])

    beat(lanes)

    assert lanes.look(QUEUE).waiting == 2


def test_the_carrier_sent_is_a_message_celery_would_have_sent(lanes: Lanes, client: redis.Redis) -> None:
    beat(lanes, "w1", 1)
    lanes.admit(QUEUE, [(member(), 5)])

    message = json.loads(client.lpop(celery_queue(QUEUE)))

    assert message["headers"]["task"] == "fairway.carrier"
    assert message["headers"]["id"] == message["properties"]["correlation_id"]
    assert "@" not in message["headers"]["id"]


def test_without_redis_a_verb_is_unavailable_and_a_late_one_is_counted() -> None:
    nobody = Lanes(redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2))

    with pytest.raises(Unavailable):
        nobody.admit(QUEUE, [(member(), 5)])
    nobody.admit_all_soon([Entry(QUEUE, member(), 5)])  # no error: the record is in MongoDB
