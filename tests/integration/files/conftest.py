"""A room with an admin in it, files sent over the API, and a slot that imports them: all real but the server."""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from common.caller import Role
from common.clock import Clock
from common.files.cleaner import Cleaned, Cleaner
from common.ids import JobId, OrgId
from common.jobs.record import JobRecord
from common.services import Services
from tests.integration.conftest import Slot, make_organization, make_person
from tests.integration.files.bytes_checked import blobs_in, check
from tests.integration.web.conftest import Member
from web.app import create_app
from workers.files.examining.kept import KEPT

OCTETS = "application/octet-stream"


@pytest.fixture
def app(services: Services) -> Flask:
    """Return the application."""
    return create_app(services)


@pytest.fixture
def member_of(app: Flask, services: Services) -> Callable[..., Member]:
    """Return a function that signs somebody new in to an organization."""

    def sign_in(org_id: OrgId, role: Role = "member") -> Member:
        person = make_person(services, org_id, role)
        return Member(app.test_client(), org_id, services.sessions.begin(person).access_token, person.user_id)

    return sign_in


@dataclass
class Later(Clock):
    """A clock that is ahead."""

    clock: Clock
    by: timedelta

    def now(self) -> datetime:
        return self.clock.now() + self.by

    def monotonic(self) -> float:
        return self.clock.monotonic()


@dataclass
class Room:
    """A room, somebody who owns it, and what is done with it."""

    services: Services
    owner: Member
    room_id: str
    slot: Slot
    others: list["Room"] = field(default_factory=list)

    @property
    def org_id(self) -> OrgId:
        """Return whose room it is."""
        return self.owner.org_id

    def send(self, content: Any, name: str, *, who: Member | None = None, **options: Any) -> TestResponse:
        """Send a raw body."""
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='', errors='surrogatepass')}"
        }
        headers |= {"Content-Type": OCTETS, **options.pop("headers", {})}
        path = f"/v1/rooms/{self.room_id}/files"
        return (who or self.owner)("POST", path, data=content, headers=headers, **options)

    def send_form(self, content: bytes, name: str, **options: Any) -> TestResponse:
        """Send a form."""
        data = {"file": (io.BytesIO(content), name), **options.pop("fields", {})}
        return self.owner("POST", f"/v1/rooms/{self.room_id}/files", data=data, **options)

    def settle(self, answer: TestResponse) -> JobRecord:
        """Run jobs until that of *answer* has ended."""
        assert answer.status_code == 202, answer.text
        job_id = JobId(answer.json["id"])
        for _ in range(1_000):
            record = self.services.jobs.get(self.org_id, job_id)
            if record.is_final:
                return record
            self.slot.step("files")
        raise AssertionError(record)

    def share(self, content: bytes, name: str, **options: Any) -> Mapping[str, Any]:
        """Send a file, import it, and return the result; fails unless that succeeds."""
        record = self.settle(self.send(content, name, **options))
        assert record.state == "succeeded", record.error
        result: Mapping[str, Any] = record.result
        return result

    def files(self) -> list[dict[str, Any]]:
        """Return the files of the room, as the API lists them."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            query = {"limit": 200} | ({"cursor": cursor} if cursor else {})
            page = self.owner("GET", f"/v1/rooms/{self.room_id}/files", query_string=query).json
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def remove(self, file_id: str) -> TestResponse:
        """Take a file out of the room."""
        return self.owner("DELETE", f"/v1/rooms/{self.room_id}/files/{file_id}")

    def read(self, file_id: str, **options: Any) -> TestResponse:
        """Download a file."""
        return self.owner("GET", f"/v1/files/{file_id}/content", **options)

    def storage(self) -> dict[str, Any]:
        """Return how the organization stands against its quota."""
        found: dict[str, Any] = self.owner("GET", "/v1/storage").json
        return found

    def clean(self, after: timedelta = timedelta(days=10)) -> Cleaned:
        """Clean as if so much time had passed."""
        made = self.services
        return Cleaner(made.control, made.registry, made.blobs, Later(made.clock, after)).once()

    def check(self) -> None:
        """Check all invariants of the organization, and that the store has nothing that nobody names."""
        check(self.services, {self.org_id, *(one.org_id for one in self.others)}, blobs_in(self.services))


@pytest.fixture
def make_room(services: Services, member_of: Callable[..., Member]) -> Iterator[Callable[..., Room]]:
    """Return a function that makes a room; every room is checked at the end of the test."""
    made: list[Room] = []

    def make(org_id: OrgId | None = None, role: Role = "member") -> Room:
        owner = member_of(org_id or make_organization(services), role)
        answer = owner("POST", "/v1/rooms", json={"name": "Reports"})
        assert answer.status_code == 201, answer.text
        made.append(Room(services, owner, answer.json["id"], Slot(services)))
        made[-1].others = made
        return made[-1]

    yield make
    KEPT.close()
    for room in made[:1]:
        room.check()


@pytest.fixture
def room(make_room: Callable[..., Room], org_id: OrgId) -> Room:
    """Return a room of the organization."""
    return make_room(org_id)


def zipped(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of *entries*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()
