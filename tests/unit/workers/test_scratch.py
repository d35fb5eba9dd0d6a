"""Temporary files of workers: each has a folder, and the dead leave none for long."""

import os
import tempfile
from pathlib import Path

import pytest

from workers import scratch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_temporary_files_go_into_a_folder_of_the_process_and_with_it(place: Path) -> None:
    own = scratch.use_own()

    assert (own.parent, own.name) == (place, f"fairway-worker-{os.getpid()}")
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == own

    scratch.leave(own)
    assert not own.exists()


def test_what_a_killed_worker_left_is_removed_and_nothing_else(place: Path) -> None:
    dead, alive = (
        place / "fairway-worker-4194305",
        place / "fairway-worker-1",
    )  # the first is over every process id
    others = place / "somebody-elses"
    for folder in (dead, alive, others):
        folder.mkdir()
        (folder / "a-file").touch()

    scratch.use_own()

    assert [folder.exists() for folder in (dead, alive, others)] == [False, True, True]


def test_what_multiprocessing_removes_itself_is_left_to_it(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "pymp-abc").mkdir(parents=True)
    (own / "other").mkdir()
    (own / "file").touch()

    scratch.leave(own)

    assert [part.name for part in own.iterdir()] == ["pymp-abc"]
