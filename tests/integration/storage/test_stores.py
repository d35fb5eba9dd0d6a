"""What every store promises, on each of them."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import SEEK_CUR, SEEK_END

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import LeaseLost, NotFound, StorageUnavailable, TooLarge
from common.ids import new_id
from common.storage.blob_store import BlobStore
from tests.integration.storage.conftest import BLOCK_BYTES, Place, blocks, ids

WHOLE_MIB = 20
WHOLE = b"".join(blocks(WHOLE_MIB))
SMUGGLED = ["../secret", "/etc/passwd", "", ".", "..", ".incoming", "a/../../b", "x\0y", "é", "A" * 5000]


def read(store: BlobStore, blob_id: str) -> bytes:
    with store.open(blob_id) as file:
        return file.read()


@pytest.mark.parametrize(
    "size_bytes", [0, 1, 8 * BLOCK_BYTES - 1, 8 * BLOCK_BYTES, 8 * BLOCK_BYTES + 1, len(WHOLE)]
)
@pytest.mark.parametrize("chunk_bytes", [65_536, 1_000_003])
def test_what_was_saved_is_read_back_with_its_size_and_hash(
    store: BlobStore, size_bytes: int, chunk_bytes: int
) -> None:
    content = WHOLE[:size_bytes]

    blob = store.save(
        (content[at : at + chunk_bytes] for at in range(0, size_bytes, chunk_bytes)), max_bytes=size_bytes
    )

    assert blob.size_bytes == size_bytes
    assert blob.sha256 == hashlib.sha256(content).hexdigest()
    assert read(store, blob.id) == content
    assert store.exists(blob.id)


def test_the_caller_may_choose_the_id(store: BlobStore, place: Place) -> None:
    blob_id = new_id()

    blob = store.save([b"x"], max_bytes=1, blob_id=blob_id)

    assert blob.id == blob_id
    assert place.visible() == [blob_id]


@pytest.mark.parametrize("mib", [1, 20])
def test_saving_again_under_an_id_replaces_whole_by_whole(store: BlobStore, place: Place, mib: int) -> None:
    blob_id = new_id()
    store.save([b"first"], max_bytes=5, blob_id=blob_id)
    seen: list[bytes] = []

    def second() -> Iterator[bytes]:
        for block in blocks(mib):
            seen.append(read(store, blob_id))
            yield block

    blob = store.save(second(), max_bytes=len(WHOLE), blob_id=blob_id)

    assert seen == [b"first"] * mib
    assert hashlib.sha256(read(store, blob_id)).hexdigest() == blob.sha256
    assert (place.visible(), place.coming()) == ([blob_id], [])


@pytest.mark.parametrize("mib", [1, 20])
def test_two_that_save_under_one_id_at_once_leave_one_whole_file(store: BlobStore, place: Place, mib: int) -> None:
    blob_id = new_id()
    both_begun = threading.Barrier(2)
    contents = [bytes([number]) * BLOCK_BYTES for number in (1, 2)]

    def chunks(block: bytes) -> Iterator[bytes]:
        both_begun.wait(10)
        yield from [block] * mib

    with ThreadPoolExecutor(2) as pool:
        saved = list(pool.map(lambda block: store.save(chunks(block), max_bytes=10**9, blob_id=blob_id), contents))

    assert hashlib.sha256(read(store, blob_id)).hexdigest() in {blob.sha256 for blob in saved}
    assert (place.visible(), place.coming()) == ([blob_id], [])


@pytest.mark.parametrize("mib", [1, 30])
def test_what_breaks_off_passes_through_and_leaves_nothing(store: BlobStore, place: Place, mib: int) -> None:
    def broken() -> Iterator[bytes]:
        yield from blocks(mib)
        raise LeaseLost("Somebody else has it.")

    with pytest.raises(LeaseLost, match="Somebody else has it"):
        store.save(broken(), max_bytes=10**9, blob_id=new_id())

    assert (place.visible(), place.coming()) == ([], [])


def test_an_error_of_the_stream_is_never_taken_for_one_of_the_store(store: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield from blocks(10)
        raise OSError(28, "the client's disk is full")

    with pytest.raises(OSError, match="the client's disk"):
        store.save(broken(), max_bytes=10**9)


@pytest.mark.parametrize("mib", [1, 30])
def test_what_is_too_large_is_refused_and_leaves_nothing(store: BlobStore, place: Place, mib: int) -> None:
    with pytest.raises(TooLarge):
        store.save(blocks(mib), max_bytes=mib * BLOCK_BYTES - 1)

    assert (place.visible(), place.coming()) == ([], [])


def test_nothing_is_visible_while_a_file_comes(store: BlobStore, place: Place) -> None:
    blob_id = new_id()
    seen: list[tuple[list[str], bool]] = []

    def chunks() -> Iterator[bytes]:
        for block in blocks(20):
            seen.append((place.visible(), store.exists(blob_id)))
            yield block

    store.save(chunks(), max_bytes=10**9, blob_id=blob_id)

    assert seen == [([], False)] * 20
    assert place.visible() == [blob_id]


def test_many_are_saved_at_once(store: BlobStore, place: Place) -> None:
    contents = {blob_id: blob_id.encode() * 280 for blob_id in ids(100)}

    store.save_many(contents)

    assert sorted(place.visible()) == sorted(contents)
    assert place.coming() == []
    assert {blob_id: read(store, blob_id) for blob_id in contents} == contents


def test_saving_many_again_replaces_them(store: BlobStore, place: Place) -> None:
    names = ids(10)
    store.save_many(dict.fromkeys(names, b"first"))

    store.save_many(dict.fromkeys(names, b""))

    assert {read(store, name) for name in names} == {b""}
    assert sorted(place.visible()) == sorted(names)


def test_saving_none_is_fine(store: BlobStore, place: Place) -> None:
    store.save_many({})

    assert place.visible() == []


@pytest.mark.parametrize("smuggled", SMUGGLED)
def test_no_path_can_be_smuggled_in_an_id(store: BlobStore, place: Place, smuggled: str) -> None:
    store.save([b"x"], max_bytes=1, blob_id=(kept := new_id()))

    store.delete(smuggled)
    for attempt in (
        lambda: store.open(smuggled),
        lambda: store.save([b"y"], max_bytes=1, blob_id=smuggled),
        lambda: store.save_many({smuggled: b"y"}),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert not store.exists(smuggled)
    assert (place.visible(), place.coming()) == ([kept], [])


def test_an_unknown_file_is_not_found_and_deleting_it_is_fine(store: BlobStore) -> None:
    unknown = new_id()

    store.delete(unknown)

    assert not store.exists(unknown)
    with pytest.raises(NotFound):
        store.open(unknown)


def test_a_deleted_file_is_gone_and_the_others_stay(store: BlobStore, place: Place) -> None:
    kept, deleted = (store.save([b"x"], max_bytes=1).id for _ in range(2))

    store.delete(deleted)

    assert not store.exists(deleted)
    assert place.visible() == [kept]


def test_a_file_that_is_deleted_while_it_comes_does_not_appear(store: BlobStore, place: Place) -> None:
    blob_id = new_id()

    def chunks() -> Iterator[bytes]:
        yield from blocks(10)
        assert place.coming() == [blob_id]
        store.delete(blob_id)
        yield from blocks(10)

    with pytest.raises(StorageUnavailable):
        store.save(chunks(), max_bytes=10**9, blob_id=blob_id)

    assert (place.visible(), place.coming()) == ([], [])


def test_deleting_one_leaves_what_comes_under_another_id(store: BlobStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield from blocks(10)
        store.delete(new_id())
        yield from blocks(10)

    assert store.save(chunks(), max_bytes=10**9).size_bytes == len(WHOLE)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.sampled_from([0, 1, 100, 300_000, 5_000_000])), max_size=6
    )
)
def test_reading_anywhere_is_like_reading_memory(
    store: BlobStore, place: Place, steps: list[tuple[int, int]]
) -> None:
    stored = place.visible()
    blob_id = stored[0] if stored else store.save(blocks(WHOLE_MIB), max_bytes=len(WHOLE)).id

    with store.open(blob_id) as file:
        pieces = [(file.seek(at), file.read(size_bytes)) for at, size_bytes in steps]

    assert pieces == [(at, WHOLE[at : at + size_bytes]) for at, size_bytes in steps]


def test_a_file_can_be_read_from_its_end_and_on_from_where_one_is(store: BlobStore) -> None:
    blob = store.save([b"0123456789"], max_bytes=10)

    with store.open(blob.id) as file:
        assert file.seek(-3, SEEK_END) == 7
        assert file.read(1) == b"7"
        assert file.seek(-2, SEEK_CUR) == 6
        assert file.read() == b"6789"
        assert file.seek(100) == 100
        assert file.read() == b""
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)


def test_a_store_that_is_there_passes_its_check(store: BlobStore) -> None:
    assert store.check() is None  # type: ignore[func-returns-value]
