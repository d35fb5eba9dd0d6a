"""The stream of a job's changes: the truth first, then what is said, and nothing lost that is not said."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from common.probe.be_quick import BeQuick
from common.probe.leave_marks import LeaveMarks
from flask import Flask

from common.config import Settings
from common.ids import OrgId, new_id
from common.jobs.live import COUNTS_S, GAP_S, STREAMS_MOST, Live
from common.jobs.record import JobRecord
from common.services import Services
from tests.integration.conftest import Slot, caller_of, make_person, token_of
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app

WITHIN_S = 20


class Watching:
    """A stream that is read in a thread of its own, as a client does."""

    def __init__(self, member: Member, job_id: str, **headers: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.is_over = threading.Event()
        self._hangs_up = threading.Event()
        self.answer = member("GET", f"/v1/jobs/{job_id}/events", headers=headers, buffered=False)
        assert self.answer.status_code == 200, self.answer.text
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for chunk in self.answer.response:
            fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
            self.events.append(fields | {"data": orjson.loads(fields["data"])} if "data" in fields else fields)
            if self._hangs_up.is_set():
                break
        self.answer.close()
        self.is_over.set()

    def until(self, reached: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
        """Return the events once *reached* says yes to those that have come."""
        deadline = time.monotonic() + WITHIN_S
        while not reached(self.told):
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)
        return self.told

    @property
    def told(self) -> list[dict[str, Any]]:
        """Return the events without heartbeats."""
        return [one for one in list(self.events) if "event" in one]

    @property
    def states(self) -> list[str]:
        """Return the states that were told."""
        return [one["data"]["state"] for one in self.told if one["event"] == "state"]

    def end(self) -> None:
        """Hang up, at the next sign of life."""
        self._hangs_up.set()
        assert self.is_over.wait(WITHIN_S)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Let hearts beat fast."""
    return settings.model_copy(update={"heartbeat_s": 0.5})


@pytest.fixture
def job(services: Services, org_id: OrgId) -> JobRecord:
    """Return a job that waits."""
    return services.submit(caller_of(org_id), LeaveMarks(steps=3, pause_s=0.6))


def test_a_stream_begins_with_the_job_as_it_is_and_ends_with_its_end(
    admin: Member, job: JobRecord, slot: Slot
) -> None:
    watching = Watching(admin, job.id)
    first = watching.until(len)[0]
    slot.step()
    assert watching.is_over.wait(WITHIN_S)

    assert (first["event"], first["data"]["state"]) == ("state", "queued")
    assert watching.states == ["queued", "running", "succeeded"]
    assert watching.told[-1]["data"]["result"] == admin("GET", f"/v1/jobs/{job.id}").json["result"]
    done = [one["data"]["done"] for one in watching.told if one["event"] == "progress"]
    assert done == sorted(done)
    assert done


def test_a_change_arrives_long_before_the_next_heartbeat(
    settings: Settings, services: Services, org_id: OrgId, member_of: Any, job: JobRecord
) -> None:
    slow = create_app(Services(settings.model_copy(update={"heartbeat_s": 60})))
    admin = Member(slow.test_client(), org_id, member_of(org_id).token)
    watching = Watching(admin, job.id)
    watching.until(len)
    time.sleep(4 * GAP_S)  # so that it is not the second look that finds it

    services.submitter.cancel(org_id, job.id)

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states == ["queued", "cancelled"]


def test_who_comes_back_is_told_what_it_missed_and_nothing_twice(
    admin: Member, job: JobRecord, slot: Slot, services: Services
) -> None:
    first = Watching(admin, job.id)
    seen = first.until(len)[-1]["id"]
    first.end()
    member = slot.take()
    claimed = slot.claim(member)
    services.jobs.note_progress(claimed, {"done": 1, "total": 3, "stage": "one"}, advanced=False)
    services.live.close()

    again = Watching(admin, job.id, **{"Last-Event-ID": seen})
    told = again.until(lambda events: len(events) >= 2)
    again.end()
    later = Watching(admin, job.id, **{"Last-Event-ID": told[-1]["id"]})
    time.sleep(4 * GAP_S)

    assert {(one["event"], one["data"].get("state")) for one in told} == {("state", "running"), ("progress", None)}
    assert later.told == []
    later.end()


def test_what_nobody_said_is_found_by_the_heartbeat(
    admin: Member, job: JobRecord, services: Services, org_id: OrgId
) -> None:
    watching = Watching(admin, job.id)
    watching.until(len)
    time.sleep(4 * GAP_S)

    services.control.jobs.update_one({"_id": job.id, "org_id": org_id}, {"$set": {"state": "failed"}})

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states == ["queued", "failed"]


def test_a_stream_goes_on_while_redis_is_away(
    settings: Settings, org_id: OrgId, member_of: Any, job: JobRecord, services: Services
) -> None:
    nowhere = settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1/0")})
    admin = Member(create_app(Services(nowhere)).test_client(), org_id, member_of(org_id).token)
    watching = Watching(admin, job.id)
    watching.until(len)

    services.submitter.cancel(org_id, job.id)

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states == ["queued", "cancelled"]


def test_a_redis_that_forgets_everything_loses_no_end(
    admin: Member, job: JobRecord, services: Services, org_id: OrgId
) -> None:
    watching = Watching(admin, job.id)
    watching.until(len)

    services.shared.flushdb()
    services.submitter.cancel(org_id, job.id)

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states[-1] == "cancelled"


def test_a_job_that_has_ended_is_told_once(
    admin: Member, job: JobRecord, services: Services, org_id: OrgId
) -> None:
    services.submitter.cancel(org_id, job.id)
    watching = Watching(admin, job.id)
    assert watching.is_over.wait(WITHIN_S)

    again = admin("GET", f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": watching.told[-1]["id"]})

    assert watching.states == ["cancelled"]
    assert (again.status_code, again.data) == (204, b"")


@pytest.mark.parametrize("known", ["", "1", "x" * 64, "99999999999999-0.0123456789abcdef", "0-1.0123456789abcdef"])
def test_an_id_that_says_nothing_gets_the_job_as_it_is(admin: Member, job: JobRecord, known: str) -> None:
    watching = Watching(admin, job.id, **{"Last-Event-ID": known})

    assert watching.until(len)[0]["data"]["id"] == job.id
    watching.end()


def test_who_can_not_be_told_what_it_missed_is_told_how_things_are(
    admin: Member, job: JobRecord, services: Services
) -> None:
    first = Watching(admin, job.id)
    seen = first.until(len)[-1]["id"]
    first.end()
    services.shared.flushdb()  # what came since is no longer there; the state is as it was

    again = Watching(admin, job.id, **{"Last-Event-ID": seen})

    assert again.until(len)[0]["data"]["state"] == "queued"
    again.end()


def test_a_slow_answer_that_nobody_watches_holds_for_the_moment_of_the_question(
    services: Services, job: JobRecord, org_id: OrgId, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, real = Live(services.shared), services.live._script
    calls: list[tuple[float, Any]] = []

    def slow(keys: Any, verb: str, *arguments: Any) -> Any:
        found = real(keys, verb, *arguments)
        if verb == "publish":
            calls.append((time.monotonic(), arguments))
            if len(calls) == 1:  # while it is answered, somebody begins to watch and the job changes
                assert real(keys, "open", org_id, "s", job.id, STREAMS_MOST, 45_000, "r")
                live.changed([job.id])
        return found

    monkeypatch.setattr(live, "_script", slow)
    live.changed([new_id()])
    live.close()

    assert len(calls) == 2
    assert live._nobody_until <= calls[0][0] + GAP_S
    assert services.shared.xlen(f"fairway:live:job:{job.id}") == 2  # where it begins, and the change


def test_another_organizations_stream_is_absent(stranger: Member, job: JobRecord) -> None:
    theirs = problem_of(stranger("GET", f"/v1/jobs/{job.id}/events"), 404)
    nobodys = problem_of(stranger("GET", f"/v1/jobs/{new_id()}/events"), 404)

    assert theirs["detail"] == nobodys["detail"]


def test_a_job_token_streams_its_one_job(services: Services, org_id: OrgId, job: JobRecord, app: Flask) -> None:
    other = services.submit(caller_of(org_id), BeQuick())
    reader = Member(app.test_client(), org_id, services.tokens.issue_job_token(org_id, job.id))

    watching = Watching(reader, job.id)

    assert watching.until(len)[0]["data"]["id"] == job.id
    watching.end()
    problem_of(reader("GET", f"/v1/jobs/{other.id}/events"), 404)


def test_an_organization_has_so_many_streams_open_and_another_its_own(
    admin: Member, stranger: Member, job: JobRecord, services: Services
) -> None:
    others = Live(services.shared)  # the rest of the fleet
    for number in range(STREAMS_MOST - 1):
        assert others.open(admin.org_id, f"s{number}", job.id, reader="another") is not None
    last = Watching(admin, job.id)

    refused = admin("GET", f"/v1/jobs/{job.id}/events")

    problem_of(refused, 429)
    assert refused.headers["Retry-After"]
    theirs = services.submit(caller_of(stranger.org_id), BeQuick())
    Watching(stranger, theirs.id).end()
    last.end()
    Watching(admin, job.id).end()


def test_the_streams_of_a_process_that_died_stop_counting(
    services: Services, org_id: OrgId, job: JobRecord
) -> None:
    for number in range(STREAMS_MOST):
        services.live.open(org_id, f"s{number}", job.id, reader="dead")

    left_ms = services.shared.pttl(f"fairway:live:open:{org_id}")

    assert 0 < left_ms <= COUNTS_S * 1000
    assert services.live.open(org_id, "one more", job.id, reader="alive") is None


def test_while_nobody_watches_nothing_is_written(services: Services, org_id: OrgId, slot: Slot) -> None:
    job = services.submit(caller_of(org_id), BeQuick())
    slot.step()
    services.live.close()

    assert services.jobs.get(org_id, job.id).state == "succeeded"
    assert services.shared.keys("fairway:live:*") == []


def test_a_stream_ends_with_the_token_that_opened_it(
    app: Flask, services: Services, org_id: OrgId, job: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.organizations.tokens.ACCESS_S", 2)
    token = token_of(services, org_id, "member")

    watching = Watching(Member(app.test_client(), org_id, token), job.id)

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states == ["queued"]


def test_a_process_bears_so_many_and_a_stream_that_ended_leaves_its_place(
    settings: Settings, org_id: OrgId, member_of: Any, job: JobRecord
) -> None:
    small = create_app(Services(settings.model_copy(update={"http_streams": 1, "http_threads": 2})))
    admin = Member(small.test_client(), org_id, member_of(org_id).token)
    for _ in range(3):
        watching = Watching(admin, job.id)
        refused = admin("GET", f"/v1/jobs/{job.id}/events")
        assert problem_of(refused, 503)["type"] == "/problems/unavailable"
        assert refused.headers["Retry-After"]
        assert admin("GET", f"/v1/jobs/{job.id}?wait=20").status_code == 200  # at once: there is no room to wait
        watching.end()


def test_who_waits_leaves_room_for_those_who_work(
    settings: Settings, org_id: OrgId, member_of: Any, job: JobRecord
) -> None:
    one_at_a_time = create_app(Services(settings.model_copy(update={"http_threads": 2})))
    token = member_of(org_id).token
    answers: list[Any] = []

    def wait() -> None:
        admin = Member(one_at_a_time.test_client(), org_id, token)
        answers.append(admin("GET", f"/v1/jobs/{job.id}?wait=20").json["state"])

    threads = [threading.Thread(target=wait) for _ in range(6)]
    for thread in threads:
        thread.start()
    admin = Member(one_at_a_time.test_client(), org_id, token)
    assert admin("POST", f"/v1/jobs/{job.id}/cancel").status_code == 200
    for thread in threads:
        thread.join(WITHIN_S)

    assert answers == ["cancelled"] * 6


@pytest.fixture
def asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Return what SIGTERM would set."""
    asked = threading.Event()
    monkeypatch.setattr("web.contract.stopping._asked", asked)
    yield asked
    asked.set()


def test_a_process_that_stops_lets_its_streams_go(
    admin: Member, job: JobRecord, asked_to_stop: threading.Event
) -> None:
    watching = Watching(admin, job.id)
    watching.until(len)

    asked_to_stop.set()

    assert watching.is_over.wait(WITHIN_S)
    assert watching.states == ["queued"]


def test_a_stream_and_a_long_poll_end_with_their_session(
    admin: Member, job: JobRecord, services: Services
) -> None:
    watching = Watching(admin, job.id)
    watching.until(len)
    polled: list[int] = []
    poll = threading.Thread(target=lambda: polled.append(admin("GET", f"/v1/jobs/{job.id}?wait=3").status_code))
    poll.start()

    services.people.change(
        services.people.get(admin.org_id, make_person(services, admin.org_id).user_id), {"name": "x"}, by="test"
    )
    assert not watching.is_over.is_set()
    began = time.monotonic()
    services.sessions.end_all(admin.org_id, admin.user_id)

    assert watching.is_over.wait(5)
    print(f"a stream ended {time.monotonic() - began:.1f} s after its session")
    poll.join(10)
    assert polled == [401]
