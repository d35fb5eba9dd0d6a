"""S3 that throttles, times out, cuts and forgets: right in the end, or refused with nothing left."""

from collections.abc import Iterator

import pytest
from botocore.retries.standard import ExponentialBackoff

from common.errors import NotFound, StorageUnavailable
from common.ids import new_id
from common.storage import s3_client, s3_reader
from common.storage.blob_store import BlobStore
from tests.integration.storage.conftest import blocks, ids, opened
from tests.integration.storage.s3_server import Fault, Operation, S3Server

LARGE = b"".join(blocks(20))
SMALL = b"".join(blocks(1))
ALWAYS = 1000
STEPS: list[Operation] = ["put", "begin", "part", "finish"]
FAULTS: list[Fault] = ["slow down", "hang", "cut request", "lose answer"]


@pytest.fixture
def store(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    """Return a store that waits less long; its client has not yet had to try anything twice."""
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_S", 0.7)
    monkeypatch.setattr(s3_reader, "PAUSE_S", 0.01)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.02)
    return opened(s3.url)


def content_for(step: Operation) -> bytes:
    return SMALL if step == "put" else LARGE


def chunks_of(content: bytes) -> Iterator[bytes]:
    yield from (content[at : at + 100_000] for at in range(0, len(content), 100_000))


def read(store: BlobStore, blob_id: str) -> bytes:
    with store.open(blob_id) as file:
        return file.read()


def is_empty(s3: S3Server) -> bool:
    s3.heal()
    return not s3.stored() and not s3.uploads()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_saving_that_fails_once_or_twice_is_made_again(
    s3: S3Server, store: BlobStore, step: Operation, fault: Fault
) -> None:
    content = content_for(step)
    s3.fail(step, fault, times=2)

    blob = store.save(chunks_of(content), max_bytes=len(content))

    assert s3.asked.count(step) > 2
    assert read(store, blob.id) == content
    assert s3.uploads() == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_saving_that_fails_for_good_leaves_all_or_nothing(
    s3: S3Server, store: BlobStore, step: Operation, fault: Fault
) -> None:
    content = content_for(step)
    blob_id = new_id()
    s3.fail(step, fault, times=ALWAYS)

    try:
        store.save(chunks_of(content), max_bytes=len(content), blob_id=blob_id)
    except StorageUnavailable:
        assert is_empty(s3)
    else:
        # It was done each time, and only the answers were lost: asking what is there told so.
        assert (fault, step) in {("lose answer", "put"), ("lose answer", "finish")}
        assert read(store, blob_id) == content
        assert s3.uploads() == []


@pytest.mark.parametrize("step", ["put", "part"])
def test_what_changes_on_the_way_is_never_stored(s3: S3Server, store: BlobStore, step: Operation) -> None:
    s3.fail(step, "corrupt")

    with pytest.raises(StorageUnavailable):
        store.save(chunks_of(content_for(step)), max_bytes=len(LARGE))

    assert is_empty(s3)


def test_what_a_server_that_went_away_has_kept_is_cleared_by_its_id(s3: S3Server, store: BlobStore) -> None:
    blob_id = new_id()
    clean_up: list[Operation] = ["part", "head", "abort", "list uploads"]
    for operation in clean_up:
        s3.fail(operation, "cut request", times=ALWAYS)

    with pytest.raises(StorageUnavailable):
        store.save(chunks_of(LARGE), max_bytes=len(LARGE), blob_id=blob_id)

    s3.heal()
    assert [key.rpartition("/")[2] for key in s3.uploads()] == [blob_id]
    store.delete(blob_id)
    assert is_empty(s3)


def test_what_was_there_before_outlives_a_saving_that_failed(s3: S3Server, store: BlobStore) -> None:
    blob_id = store.save([b"first"], max_bytes=5).id
    s3.fail("part", "slow down", times=ALWAYS)
    s3.fail("put", "slow down", times=ALWAYS)

    for content in (SMALL, LARGE):
        with pytest.raises(StorageUnavailable):
            store.save(chunks_of(content), max_bytes=len(LARGE), blob_id=blob_id)

    assert read(store, blob_id) == b"first"


@pytest.mark.parametrize("fault", FAULTS)
def test_many_are_saved_although_some_fail_once(s3: S3Server, store: BlobStore, fault: Fault) -> None:
    contents = {blob_id: blob_id.encode() for blob_id in ids(30)}
    s3.fail("put", fault, times=5)

    store.save_many(contents)

    assert {blob_id: read(store, blob_id) for blob_id in contents} == contents
    assert len(s3.stored()) == 30


@pytest.mark.parametrize("fault", ["corrupt", "slow down"])
def test_where_one_of_many_fails_for_good_none_is_left(s3: S3Server, store: BlobStore, fault: Fault) -> None:
    s3.fail("put", fault, times=ALWAYS if fault == "slow down" else 1)

    with pytest.raises(StorageUnavailable):
        store.save_many({blob_id: blob_id.encode() for blob_id in ids(30)})

    assert is_empty(s3)


@pytest.mark.parametrize("fault", ["slow down", "hang", "cut answer", "lose answer"])
def test_a_read_that_breaks_off_goes_on_where_it_was(s3: S3Server, store: BlobStore, fault: Fault) -> None:
    blob = store.save(chunks_of(LARGE), max_bytes=len(LARGE))
    s3.cut_after_bytes = 700_001
    s3.fail("get", fault, times=3)

    assert read(store, blob.id) == LARGE
    assert s3.asked.count("get") >= 4


def test_a_read_that_breaks_off_after_a_jump_goes_on_where_it_was(s3: S3Server, store: BlobStore) -> None:
    blob = store.save(chunks_of(LARGE), max_bytes=len(LARGE))
    s3.cut_after_bytes = 3

    with store.open(blob.id) as file:
        file.seek(-1_000_000, 2)
        s3.fail("get", "cut answer", times=3)
        assert file.read() == LARGE[-1_000_000:]


@pytest.mark.parametrize("fault", ["slow down", "hang", "cut answer"])
def test_a_read_that_breaks_off_for_ever_is_given_up(s3: S3Server, store: BlobStore, fault: Fault) -> None:
    blob = store.save(chunks_of(LARGE), max_bytes=len(LARGE))
    s3.fail("get", fault, times=ALWAYS)

    with store.open(blob.id) as file, pytest.raises(StorageUnavailable):
        file.read()

    assert s3.asked.count("get") < 30


def test_a_file_that_is_deleted_while_it_is_read_is_not_found(store: BlobStore) -> None:
    blob = store.save(chunks_of(LARGE), max_bytes=len(LARGE))

    with store.open(blob.id) as file:
        file.read(10)
        store.delete(blob.id)
        with pytest.raises(NotFound):
            file.read()


def test_a_file_that_is_replaced_while_it_is_read_is_never_mixed(store: BlobStore) -> None:
    blob = store.save(chunks_of(LARGE), max_bytes=len(LARGE))

    with store.open(blob.id) as file:
        file.read(10)
        store.save([b"another"] * 10**6, max_bytes=len(LARGE), blob_id=blob.id)
        with pytest.raises(StorageUnavailable):
            file.read()


def test_what_is_asked_of_a_server_that_throttles_for_ever_is_told_as_such(s3: S3Server, store: BlobStore) -> None:
    blob = store.save([b"x"], max_bytes=1)
    asked: list[Operation] = ["head", "delete"]
    for operation in asked:
        s3.fail(operation, "slow down", times=ALWAYS)

    for attempt in (store.open, store.exists, store.delete):
        with pytest.raises(StorageUnavailable):
            attempt(blob.id)

    s3.heal()
    assert store.exists(blob.id)


def test_a_server_that_is_away_is_no_reason_not_to_start(s3: S3Server) -> None:
    nobody = opened(s3.url.replace(f":{s3.port}/", ":9/"))

    assert nobody.check() is None  # type: ignore[func-returns-value]
    with pytest.raises(StorageUnavailable):
        nobody.exists(new_id())


def test_a_server_that_throttles_is_no_reason_not_to_start(s3: S3Server, store: BlobStore) -> None:
    s3.fail("bucket", "slow down", times=ALWAYS)

    assert store.check() is None  # type: ignore[func-returns-value]
