"""Files in a local folder: whole or not there, and never outside it."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import NotFound, StorageUnavailable, TooLarge
from common.ids import new_id
from common.storage import disk
from common.storage.folder import FolderBlobStore


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "blobs")


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_was_saved_is_read_back_with_its_size_and_hash(store: FolderBlobStore) -> None:
    blob = store.save([b"first ", b"", b"second"], max_bytes=100)

    with store.open(blob.id) as file:
        assert file.read() == b"first second"
    assert blob.size_bytes == 12
    assert blob.sha256 == hashlib.sha256(b"first second").hexdigest()
    assert store.exists(blob.id)


def test_a_stream_over_the_bound_is_refused_as_soon_as_it_is_over_and_leaves_nothing(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    taken: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield b"x" * 10

    with pytest.raises(TooLarge):
        store.save(chunks(), max_bytes=35)

    assert len(taken) == 4
    assert files_in(tmp_path) == []


def test_a_stream_of_exactly_the_bound_is_taken(store: FolderBlobStore) -> None:
    assert store.save([b"x" * 35], max_bytes=35).size_bytes == 35


def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.save(broken(), max_bytes=100)

    assert files_in(tmp_path) == []


def test_nothing_is_visible_while_a_stream_is_coming(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)

    def chunks() -> Iterator[bytes]:
        yield b"half"
        partials = [path.name for path in (tmp_path / ".incoming").iterdir()]
        assert len(partials) == 1
        assert not store.exists(partials[0])
        yield b" whole"

    store.save(chunks(), max_bytes=100)

    assert list((tmp_path / ".incoming").iterdir()) == []


@pytest.mark.parametrize(
    "smuggled", ["../secret", "/etc/passwd", "", ".", "..", ".incoming", "a/../../b", "x\0y", "é", "A" * 5000]
)
def test_no_path_can_be_smuggled_in_an_id(tmp_path: Path, smuggled: str) -> None:
    store = FolderBlobStore(tmp_path / "blobs")
    (tmp_path / "secret").write_bytes(b"secret")

    with pytest.raises(NotFound):
        store.open(smuggled)
    store.delete(smuggled)

    assert not store.exists(smuggled)
    assert (tmp_path / "secret").exists()


def test_an_unknown_file_is_not_found_and_deleting_it_is_fine(store: FolderBlobStore) -> None:
    unknown = new_id()

    store.delete(unknown)

    with pytest.raises(NotFound):
        store.open(unknown)


def test_a_deleted_file_is_gone(store: FolderBlobStore) -> None:
    blob = store.save([b"x"], max_bytes=1)

    store.delete(blob.id)

    assert not store.exists(blob.id)


def test_opening_the_store_removes_what_dead_uploads_left_and_keeps_the_living(tmp_path: Path) -> None:
    FolderBlobStore(tmp_path)
    dead, living = tmp_path / ".incoming" / new_id(), tmp_path / ".incoming" / new_id()
    dead.write_bytes(b"x")
    living.write_bytes(b"x")
    two_days_ago = living.stat().st_mtime - 2 * 24 * 3600
    os.utime(dead, (two_days_ago, two_days_ago))

    FolderBlobStore(tmp_path)

    assert not dead.exists()
    assert living.exists()


def test_opening_the_store_keeps_what_a_living_upload_writes_however_old_it_looks(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"slow "
        (partial,) = (tmp_path / ".incoming").iterdir()
        os.utime(partial, (0, 0))
        FolderBlobStore(tmp_path)
        yield b"but steady"

    store = FolderBlobStore(tmp_path)
    blob = store.save(chunks(), max_bytes=100)

    with store.open(blob.id) as file:
        assert file.read() == b"slow but steady"


def test_a_disk_that_fails_while_it_is_read_is_told_as_the_store_s_failure(store: FolderBlobStore) -> None:
    blob = store.save([b"x"], max_bytes=1)
    (path,) = (path for path in Path(store._root).rglob(blob.id))
    path.unlink()
    path.symlink_to("/proc/self/mem")  # reading it at 0 is an input/output error

    with store.open(blob.id) as file:
        with pytest.raises(StorageUnavailable, match="does not work"):
            file.read(1)
        with pytest.raises(StorageUnavailable):
            file.read()


def test_a_folder_that_is_gone_is_told_as_the_store_s_failure(store: FolderBlobStore) -> None:
    shutil.rmtree(store._root)

    for attempt in (lambda: store.save([b"x"], max_bytes=1), lambda: store.save_many({new_id(): b"x"})):
        with pytest.raises(StorageUnavailable):
            attempt()


def test_many_of_which_one_can_not_be_shown_are_not_shown(store: FolderBlobStore) -> None:
    names = [new_id() for _ in range(50)]
    blocked = Path(store._root) / names[30][-2:] / names[30]
    blocked.mkdir(parents=True)  # no file can take the place of a folder

    with pytest.raises(StorageUnavailable):
        store.save_many(dict.fromkeys(names, b"x"))

    assert files_in(Path(store._root)) == []


@pytest.mark.parametrize("has_syncfs", [True, False])
def test_many_are_forced_to_disk_with_and_without_an_order_for_all(
    store: FolderBlobStore, monkeypatch: pytest.MonkeyPatch, *, has_syncfs: bool
) -> None:
    forced: list[str] = []
    names = [new_id() for _ in range(20)]
    if not has_syncfs:
        monkeypatch.setattr(disk, "_SYNCFS", None)
    monkeypatch.setattr(disk, "force", forced.append)

    store.save_many(dict.fromkeys(names, b"x"))

    assert all(store.exists(name) for name in names)
    partials = [path for path in forced if ".incoming" in path]
    assert len(partials) == (0 if has_syncfs else 20)
