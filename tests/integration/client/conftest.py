"""The client and the command line against the real application, with a worker beside the test."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from click.testing import CliRunner, Result
from fairway import Fairway, cli, credentials
from flask import Flask

from common.ids import OrgId
from common.services import Services
from tests.integration.conftest import Slot, token_of
from tests.integration.web.conftest import app  # noqa: F401 (a fixture)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less between attempts."""
    monkeypatch.setattr("fairway.events.AGAIN_S", 0.05)


@pytest.fixture
def wire(app: Flask) -> httpx.WSGITransport:  # noqa: F811 (the fixture)
    """Return the way to the application."""
    return httpx.WSGITransport(app=app)


@pytest.fixture
def fairway(wire: httpx.WSGITransport, services: Services, org_id: OrgId) -> Iterator[Fairway]:
    """Return an admin's client."""
    token = token_of(services, org_id)
    with Fairway("http://test", token=token, transport=wire) as made:
        yield made


class Working:
    """A worker beside the test: does what comes until it is told to stop."""

    def __init__(self, services: Services) -> None:
        self._slot = Slot(services)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._stopped.wait(0.02):
            for queue in ("organizations", "tickets", "files", "ingestion", "analytics"):
                self._slot.step(queue)
                _, due = self._slot.services.lanes.due(queue)
                if due:
                    self._slot.services.lanes.admit_all(self._slot.services.jobs.wake(due))


@pytest.fixture
def working(services: Services) -> Iterator[Working]:
    """Let somebody work."""
    with Working(services) as worker:
        yield worker


Run = Callable[..., Result]


@pytest.fixture
def run(fairway: Fairway, wire: httpx.WSGITransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return the command line, as the admin."""
    real = Fairway.__init__

    def wired(self: Fairway, url: str = "", **options: Any) -> None:
        real(self, url, **{**options, "transport": wire})

    monkeypatch.setattr(Fairway, "__init__", wired)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    credentials.keep(credentials.Credentials("http://test", fairway._token))
    return lambda *arguments, **options: CliRunner().invoke(cli.main, list(arguments), **options)


def printed(done: Result) -> list[dict[str, Any]]:
    """Return the lines of JSON; the application that answers in this process logs between them."""
    return [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
