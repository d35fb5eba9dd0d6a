"""A process that saves is killed: nothing half is seen, and its id clears what it left."""

import random
import time

import pytest

from common.ids import new_id
from common.storage.blob_store import BlobStore
from tests.integration.storage.conftest import Place
from tests.integration.storage.savers import kill, saver

KILLS = 5
SINGLE_REPEATS = 12 * 30_000
MANY_REPEATS = 280


def cleared(store: BlobStore, place: Place, told: set[str]) -> bool:
    """Delete by id until nothing is left: what is on its way when its sender dies may arrive a moment later."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for blob_id in told:
            store.delete(blob_id)
        if (place.visible(), place.coming()) == ([], []):
            return True
    return False


@pytest.mark.fault
def test_what_was_half_saved_is_not_seen_and_its_id_clears_it(store: BlobStore, place: Place) -> None:
    blob_id = new_id()
    with saver("save_half", place.url, blob_id) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        kill(process)

    assert place.visible() == []
    assert not store.exists(blob_id)
    assert place.coming() == [blob_id]
    store.delete(blob_id)
    assert (place.visible(), place.coming()) == ([], [])


@pytest.mark.fault
@pytest.mark.parametrize(("kind", "repeats"), [("one", SINGLE_REPEATS), ("many", MANY_REPEATS)])
def test_killed_at_any_moment_whole_files_are_seen_and_the_rest_is_cleared_by_id(
    store: BlobStore, place: Place, kind: str, repeats: int
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    told: set[str] = set()

    for _ in range(KILLS):
        with saver("save_on_and_on", place.url, kind) as process:
            assert process.stdout is not None
            told.add(process.stdout.readline().strip())
            time.sleep(moments.uniform(0, 0.5))  # the moment of the kill is what is tried, not waited for
            told.update(kill(process))

    seen = place.visible()
    assert set(seen) <= told
    for blob_id in seen:
        with store.open(blob_id) as file:
            assert file.read() == blob_id.encode() * repeats
    assert cleared(store, place, told)


@pytest.mark.fault
def test_an_id_that_was_half_saved_can_be_saved_again(store: BlobStore, place: Place) -> None:
    blob_id = new_id()
    with saver("save_half", place.url, blob_id) as process:
        assert process.stdout is not None
        process.stdout.readline()
        kill(process)

    store.save([b"again"], max_bytes=5, blob_id=blob_id)

    with store.open(blob_id) as file:
        assert file.read() == b"again"
    store.delete(blob_id)
    assert (place.visible(), place.coming()) == ([], [])
