"""Places: who waits leaves room, who waits in vain takes none and gives none back, and probes need none."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.config import Settings
from common.services import Services
from tests.integration.web.conftest import Member, problem_of
from web.app import create_app
from web.contract.places import Places, places, waiting


@pytest.fixture
def small(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Return an application with two places, where nobody waits long for one."""
    monkeypatch.setattr("web.contract.places.TURN_WITHIN_S", 0.05)
    return create_app(Services(settings.model_copy(update={"http_threads": 2, "http_streams": 1})))


@pytest.fixture
def taken(small: Flask) -> Iterator[Places]:
    """Return the places while others have them all."""
    here: Places = small.extensions["fairway.places"]
    here.enter()
    here.enter()
    yield here
    here.leave()
    here.leave()


def free(here: Places) -> int:
    return here._free.qsize()


def test_who_finds_no_place_is_told_when_to_come_again_and_gives_none_back(small: Flask, taken: Places) -> None:
    for _ in range(3):
        answer = small.test_client().get("/problems")
        problem_of(answer, 503)
        assert answer.headers["Retry-After"]

    assert free(taken) == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_busy_process_still_says_that_it_is_alive(small: Flask, taken: Places, path: str) -> None:
    assert small.test_client().get(path).status_code == 200
    assert free(taken) == 0


def test_who_waited_and_finds_its_place_taken_gives_none_back(small: Flask) -> None:
    here: Places = small.extensions["fairway.places"]

    @small.get("/waits")
    def waits() -> str:
        with waiting() as may_wait:
            assert may_wait
            here.enter()  # others come meanwhile
            here.enter()
        return "never"

    problem_of(small.test_client().get("/waits"), 503)

    assert free(here) == 0
    assert here.sit()


def test_who_finds_no_room_to_wait_keeps_its_place(small: Flask) -> None:
    here: Places = small.extensions["fairway.places"]
    assert here.sit()

    @small.get("/stays")
    def stays() -> str:
        with waiting() as may_wait:
            return f"{may_wait} {free(places())}"

    assert small.test_client().get("/stays").text == "False 1"
    assert free(here) == 2


def test_every_answer_gives_its_place_back(small: Flask, admin: Member, anonymous: FlaskClient) -> None:
    here: Places = small.extensions["fairway.places"]
    client = small.test_client()
    headers = {"Authorization": f"Bearer {admin.token}"}

    for path in ("/v1/jobs", "/nothing", "/v1/jobs?limit=x", "/healthz", "/v1/jobs?wait=1"):
        client.get(path, headers=headers)
        client.post(path, json={"x": 1}, headers=headers)

    assert free(here) == 2
    del anonymous
