"""What processes counted outlives them: all of it when they are stopped, else all but their last second."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from common.ids import OrgId
from common.metering import kept
from common.metering.figures import DAY, Figure
from deploy.local.servers import free_port
from tests.faults.fleet import WORK, Fleet, until
from tests.integration.conftest import token_of

ASKED = 400


@pytest.fixture
def served() -> Iterator[tuple[Fleet, str]]:
    """Return a fleet with an API of two processes, and its address."""
    port = free_port()
    fleet = Fleet(given={"HTTP_PORT": str(port), "HTTP_WORKERS": "2", "RATE_LIMITS": "off"})
    try:
        fleet.start().run("api")
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url), "the API", 40, fleet.report)
        yield fleet, url
    finally:
        fleet.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def used(fleet: Fleet, org_id: OrgId, figure: Figure) -> int:
    """Return what is kept of a figure, after all that is in Redis was moved."""
    fleet.services.mover.once()
    now = fleet.services.clock.now()
    days = kept.days_of(fleet.services.control, org_id, now - DAY, now + DAY)
    return sum(one.sums.get(figure, 0) for one in days)


def ask(url: str, token: str, times: int, threads: int = 8) -> None:
    """Ask so often, from several threads with connections of their own."""

    def some() -> None:
        for _ in range(times // threads):
            with httpx.Client() as client:  # each time a connection, so that every process has some
                answer = client.get(f"{url}/v1/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=20)
                assert answer.status_code == 200

    asking = [threading.Thread(target=some) for _ in range(threads)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()


def test_an_api_that_is_stopped_loses_nothing(served: tuple[Fleet, str]) -> None:
    fleet, url = served
    token = token_of(fleet.services, fleet.org_id)
    for round_ in range(1, 4):
        ask(url, token, ASKED)
        before = fleet.supervisor.restarts_of("api")
        fleet.terminate("api")
        fleet.await_restart("api", before)
        until(lambda: answers(url), "the API", 40, fleet.report)

        assert used(fleet, fleet.org_id, "requests") == round_ * ASKED


def test_an_api_that_is_killed_loses_its_last_second(served: tuple[Fleet, str]) -> None:
    fleet, url = served
    token = token_of(fleet.services, fleet.org_id)
    ask(url, token, ASKED)
    until(lambda: used(fleet, fleet.org_id, "requests") == ASKED, "what was counted more than a second ago", 5)
    began = time.monotonic()
    ask(url, token, 40)
    took_s = time.monotonic() - began
    with fleet.fault("kill -9 of the API with what it counted"):
        fleet.kill("api")
    until(lambda: answers(url), "the API", 40, fleet.report)

    found = used(fleet, fleet.org_id, "requests")
    assert ASKED <= found <= ASKED + 40
    assert took_s < 1 or found > ASKED


def test_jobs_of_workers_that_die_are_counted_and_none_twice(fleet: Fleet) -> None:
    for org_id in fleet.org_ids:
        fleet.submit(WORK, 20, org_id=org_id)
    fleet.under_way()
    with fleet.fault("kill -9 of a worker that counts"):
        fleet.kill("worker-1")
    with fleet.fault("SIGTERM of a worker that counts"):
        fleet.terminate("worker-2")
    fleet.settle()
    fleet.check()
    fleet.services.meter.flush()
    until(lambda: sum(used(fleet, one, "ended") for one in fleet.org_ids) >= 60 - LOST, "the ends", 10)

    ended = [used(fleet, org_id, "ended") for org_id in fleet.org_ids]
    assert [used(fleet, org_id, "jobs") for org_id in fleet.org_ids] == [20, 20, 20]
    assert all(count <= 20 for count in ended)


LOST = 30
"""What two slots may have ended in the second before they were killed, and more."""
