"""Uploads and imports are killed, stores fail and fill up: no file without bytes, no bytes without a file."""

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from common.errors import NotFound, StorageUnavailable
from common.files.collections import FILES, LOOSE_BLOBS
from deploy.local.servers import free_port
from tests.faults.disk import mounted
from tests.faults.files_at_risk import FilesAtRisk, texts, zipped
from tests.faults.fleet import LEASE_S, until
from tests.integration.conftest import token_of
from tests.integration.storage.s3_server import s3_server

ENTRIES = 600


@pytest.fixture
def at_risk() -> Iterator[FilesAtRisk]:
    """Run two importers of two slots each, and two sweepers."""
    made = FilesAtRisk()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_imports_killed_at_any_moment(at_risk: FilesAtRisk, seed: int) -> None:
    draw = random.Random(seed)
    contents, singles = texts(ENTRIES, seed=1), texts(12, seed=2, each=40_000)
    twice = {f"again/{number}.txt": one for number, one in enumerate(list(contents.values())[:50])}
    with at_risk.fleet.fault("kill -9 of importers, at random moments"):
        archive = at_risk.send(zipped(contents | twice), "a.zip")
        for name, content in singles.items():
            at_risk.send(content, name)
        at_risk.kill_some(draw, 10)

    records = at_risk.settle()

    assert {one.state for one in records} == {"succeeded"}, [one.error for one in records]
    assert at_risk.outcomes(archive) == {"new": ENTRIES, "deduplicated": 50}
    assert (records[0].result["new"], records[0].result["deduplicated"]) == (ENTRIES, 50)
    assert sum(one.result["new"] for one in records[1:]) == 12
    assert at_risk.names() == sorted([*contents, *twice, *singles])
    at_risk.check("kill -9 of importers at random, a zip of 650 and 12 files")


def test_a_parent_closes_once_whoever_dies(at_risk: FilesAtRisk) -> None:
    """The same archive to three rooms: each job ends once, and all bytes are stored once."""
    rooms = [at_risk.room, at_risk.new_room(), at_risk.new_room()]
    content = zipped(texts(250))
    jobs = [at_risk.send(content, "a.zip", room=room) for room in rooms]
    at_risk.kill_some(random.Random(4), 6)

    records = at_risk.settle()

    assert {one.state for one in records} == {"succeeded"}
    assert sum(one.result["new"] for one in records) == 250
    assert sum(one.result["deduplicated"] for one in records) == 500
    assert sum((at_risk.outcomes(job).total() for job in jobs), 0) == 750
    assert at_risk.scope[FILES].count_documents({}) == 250
    at_risk.check("kill -9 of importers, one zip to three rooms")


def test_two_workers_with_the_same_file(at_risk: FilesAtRisk) -> None:
    for number in range(24):
        at_risk.send(b"the same bytes for everybody", f"{number}.txt")

    records = at_risk.settle()

    assert {one.state for one in records} == {"succeeded"}
    assert sum(one.result["new"] for one in records) == 1
    assert len({one.result["file_id"] for one in records}) == 1
    assert len(at_risk.names()) == 24
    at_risk.check("two workers with the same file, 24 times")


def test_deleting_against_importing_while_importers_die(at_risk: FilesAtRisk) -> None:
    second, draw, stop = at_risk.new_room(), random.Random(5), threading.Event()

    def delete() -> None:
        while not stop.wait(0.02):
            for one in list(at_risk.scope[FILES].find({}, projection={"_id": 1}))[:3]:
                for room in (at_risk.room, second):
                    with suppress(NotFound):
                        at_risk.remove(one["_id"], room)

    remover = threading.Thread(target=delete)
    remover.start()
    try:
        for number in range(40):
            content = f"content {number % 4}".encode()
            at_risk.send(content, f"{number}.txt", room=draw.choice([at_risk.room, second]))
        at_risk.send(zipped({f"{number}": f"content {number % 4}".encode() for number in range(60)}), "a.zip")
        at_risk.kill_some(draw, 5)
        records = at_risk.settle()
    finally:
        stop.set()
        remover.join(30)

    assert {one.state for one in records} == {"succeeded"}, [one.error for one in records]
    at_risk.check("deleting against importing the same contents, importers killed")


def test_an_importer_frozen_past_its_lease_writes_nothing_after(at_risk: FilesAtRisk) -> None:
    contents = texts(400)
    archive = at_risk.send(zipped(contents), "a.zip")
    until(lambda: at_risk.scope[FILES].count_documents({}) > 50, "some files", 60, at_risk.report)
    with at_risk.fleet.fault("an importer frozen past its lease"):
        at_risk.fleet.freeze("importer-1")
        at_risk.fleet.pass_by(2 * LEASE_S)
        at_risk.fleet.thaw("importer-1")

    (record,) = at_risk.settle()

    assert record.state == "succeeded"
    assert at_risk.outcomes(archive) == {"new": 400}
    at_risk.check("an importer frozen past its lease (SIGSTOP, SIGCONT)")


def test_an_api_killed_in_the_middle_of_uploads() -> None:
    port = free_port()
    at_risk = FilesAtRisk(given={"HTTP_PORT": str(port), "HTTP_WORKERS": "1"})
    try:
        at_risk.start(())
        at_risk.fleet.run("api")
        token = token_of(at_risk.services, at_risk.org_id)
        draw = random.Random(6)
        for number in range(5):
            until(lambda: answers(port), "the API", 60, at_risk.report)
            with at_risk.fleet.fault("kill -9 of the API in the middle of an upload"):
                begin_upload(port, token, at_risk.room, draw.randint(1, 8_000_000))
                until(lambda begun=number + 1: coming(at_risk) == begun, "the upload to begin", 20, at_risk.report)
                before = at_risk.fleet.supervisor.restarts_of("api")
                at_risk.fleet.kill("api")
            at_risk.fleet.await_restart("api", before)
    finally:
        try:
            at_risk.check("kill -9 of the API in the middle of uploads", is_empty=True)
        finally:
            at_risk.close()


def coming(at_risk: FilesAtRisk) -> int:
    return at_risk.scope[LOOSE_BLOBS].count_documents({"state": "incoming"})


def answers(port: int) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1).is_success
    return False


def begin_upload(port: int, token: str, room: str, sent_bytes: int) -> None:
    """Send so much of a body of ten megabytes, and leave the connection open."""
    head = (
        f"POST /v1/rooms/{room}/files HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f'Content-Length: 10000000\r\nContent-Disposition: attachment; filename="a.bin"\r\n\r\n'
    )
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.settimeout(5)
    with suppress(OSError):
        connection.sendall(head.encode())
        connection.sendall(os.urandom(sent_bytes))
    _OPEN.append(connection)


_OPEN: list[socket.socket] = []


def test_a_disk_that_is_full_makes_imports_wait_and_loses_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 12) as disk:
        at_risk = FilesAtRisk(
            given={"STORAGE_URL": f"file://{disk.folder / 'blobs'}"},
            stored=lambda: [
                one.name.partition(".")[0] for one in (disk.folder / "blobs").rglob("*") if one.is_file()
            ],
        )
        try:
            at_risk.start()
            archive = at_risk.send(zipped(texts(300)), "a.zip")
            with at_risk.fleet.fault("the store's disk full"):
                disk.fill()
                jobs = at_risk.services.control.jobs
                until(
                    lambda: (
                        jobs.find_one({"waiting_for.reason": "storage"}) is not None
                        or jobs.count_documents({"state": {"$in": ["queued", "running", "waiting"]}}) == 0
                    ),
                    "an import to wait for the store",
                    30,
                    at_risk.report,
                )
                disk.relieve()
            (record,) = at_risk.settle()

            assert record.state == "succeeded", record.error
            assert at_risk.outcomes(archive) == {"new": 300}
            assert {one["attempt"] for one in jobs.find({}, {"attempt": 1})} == {0}
            at_risk.check("the store's disk full during an import")
        finally:
            at_risk.close()


def test_an_s3_that_throttles_times_out_and_cuts() -> None:
    with s3_server() as s3:
        at_risk = FilesAtRisk(
            given={"STORAGE_URL": s3.url}, stored=lambda: [key.rpartition("/")[2] for key in s3.stored()]
        )
        try:
            at_risk.start()
            contents = texts(150)
            archive = at_risk.send(zipped(contents), "a.zip")
            with at_risk.fleet.fault("S3 that throttles, times out, cuts bodies and loses answers"):
                for operation in ("get", "put", "delete", "head"):
                    s3.fail(operation, "slow down", times=6)
                s3.fail("get", "cut answer", times=4)
                s3.fail("put", "cut request", times=4)
                s3.fail("put", "lose answer", times=4)
                s3.fail("get", "hang", times=1)
                for name, content in texts(8, seed=9).items():
                    with suppress(StorageUnavailable):  # the API says 503 then, and that nothing was kept
                        at_risk.send(content, name)
                at_risk.kill_some(random.Random(8), 2)
                s3.heal()
            records = at_risk.settle()

            assert {one.state for one in records} == {"succeeded"}, [one.error for one in records]
            assert at_risk.outcomes(archive) == {"new": 150}
            assert not s3.uploads()
            at_risk.check("S3 that throttles, times out, cuts; importers killed")
        finally:
            at_risk.close()


def test_a_file_that_kills_its_examiner_costs_nobody_a_worker(at_risk: FilesAtRisk) -> None:
    """Examiners are killed all the time; the importers that own them are not, and every file is imported."""
    stop = threading.Event()
    killed = []

    def kill() -> None:
        while not stop.wait(0.4):
            for process in psutil.process_iter(["cmdline"]):
                with suppress(psutil.Error):
                    if "workers.files.examining.child" in (process.info["cmdline"] or ()):
                        process.kill()
                        killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        archive = at_risk.send(zipped(texts(300)), "a.zip")
        (record,) = at_risk.settle()
    finally:
        stop.set()
        killer.join(30)

    assert record.state == "succeeded"
    assert at_risk.outcomes(archive) == {"new": 300}
    assert killed
    jobs = at_risk.services.control.jobs
    assert {one.get("losses", 0) for one in jobs.find({}, {"losses": 1})} == {0}
    at_risk.check("kill -9 of every examiner while files are examined")
