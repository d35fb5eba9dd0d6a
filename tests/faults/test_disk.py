"""A disk is full, under each thing that writes: what was accepted stays, and all goes on when there is room."""

import os
from pathlib import Path

import pytest
from common.probe.leave_marks import LeaveMarks

from common.errors import StorageUnavailable, Unavailable
from common.ids import new_id
from common.storage.folder import FolderBlobStore
from deploy.local.servers import Redis
from tests.faults.disk import mounted
from tests.faults.fleet import WORK, Fleet, until

BULKY = LeaveMarks(note="x" * 60_000)


def test_a_file_that_finds_no_room_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as disk:
        store = FolderBlobStore(disk.folder)
        kept = store.save([b"kept"], max_bytes=10)
        disk.fill()

        with pytest.raises(Unavailable, match="full"):
            store.save([b"x" * 100_000] * 20, max_bytes=10_000_000)

        assert not list((disk.folder / ".incoming").iterdir())
        with store.open(kept.id) as file:
            assert file.read() == b"kept"
        disk.relieve()
        assert store.save([b"later"], max_bytes=10).size_bytes == 5


def test_many_files_that_find_no_room_are_refused_together_and_leave_nothing(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as disk:
        store = FolderBlobStore(disk.folder)
        kept = store.save([b"kept"], max_bytes=10)
        contents = {new_id(): b"x" * 100_000 for _ in range(100)}

        with pytest.raises(StorageUnavailable, match="full"):
            store.save_many(contents)

        assert not any(store.exists(blob_id) for blob_id in contents)
        assert not list((disk.folder / ".incoming").iterdir())
        assert store.exists(kept.id)
        store.save_many(dict.fromkeys(contents, b"x" * 1000))
        assert all(store.exists(blob_id) for blob_id in contents)


@pytest.mark.slow
def test_full_under_mongod(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 700) as disk:
        fleet = Fleet(mongo_folder=disk.folder)
        try:
            fleet.start()
            fleet.submit(WORK, 40)
            fleet.under_way()
            with fleet.fault("mongod's disk full"):
                disk.fill()
                until(lambda: fleet.mongo.pid is None or fleet.cannot_submit(BULKY), "the disk to be felt", 60)
                disk.relieve()
                fleet.mongo.kill()
                fleet.mongo.start()
            fleet.settle()
            fleet.check()
        finally:
            fleet.close()


@pytest.mark.slow
def test_full_under_redis(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 4) as disk:
        fleet = Fleet(redis=Redis(disk.folder, durable=True))
        try:
            fleet.start()
            fleet.submit(WORK, 40)
            fleet.under_way()
            with fleet.fault("Redis's disk full (AOF)"):
                disk.fill()
                fleet.submit(WORK, 40)
                until(fleet.redis_refuses, "Redis to refuse writes")
                disk.relieve()
            fleet.settle()
            fleet.check()
        finally:
            fleet.close()


@pytest.mark.slow
def test_full_under_the_processes(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 64) as disk:
        metrics = disk.folder / "metrics"
        fleet = Fleet(
            given={"DATA_DIR": str(disk.folder / "data")}, environment={"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        )
        try:
            fleet.start()
            fleet.submit(WORK, 40)
            fleet.under_way()
            with fleet.fault("the disk of the processes' files full"):
                disk.fill()
                os.kill(fleet.child_at_work("worker-2"), 9)
                fleet.kill("worker-1")
                fleet.submit(WORK, 10)
                fleet.settle()
            disk.relieve()
            fleet.check()
        finally:
            fleet.close()
