"""An import that dies anywhere goes on where it was: never a row twice, never one missing, counts exact."""

from collections.abc import Mapping
from typing import Any

import pytest

from common.jobs.leases import Claimed
from common.services import Services
from common.tickets.batches import BATCH_ROWS
from common.tickets.collections import REFUSED_ROWS, TICKETS
from workers.context import Context, Signals


class Death(BaseException):
    """The process is gone: nothing after this line runs."""


def dying(*, at_write: int, committed: bool) -> Any:
    """Make contexts that die at their n-th write, just before it begins or just after it is committed."""

    class Dying(Context):
        writes = 0

        def write(self, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes < at_write:
                return super().write(*args, **options)
            if committed:
                super().write(*args, **options)
            raise Death

    return Dying


def content() -> bytes:
    """Three batches with rows of every fate, some of which refer to rows of the batch before."""
    rows = [f"{number},m{number}" for number in range(3 * BATCH_ROWS - 40)]
    rows[7] = "odd,"
    rows[BATCH_ROWS + 5] = "3,m3"
    rows[BATCH_ROWS + 6] = "4,other"
    rows[2 * BATCH_ROWS + 5] = "4,other"
    rows[2 * BATCH_ROWS + 6] = "one cell too few"
    rows[2 * BATCH_ROWS + 7] = "5,m5"
    return "\n".join(["external_id,message", *rows]).encode()


def told(importer: Any) -> list[Mapping[str, Any]]:
    varying = {"_id", "org_id", "job_id", "created_at", "updated_at"}
    kept = [*importer.find(TICKETS), *importer.find(REFUSED_ROWS)]
    return [{name: value for name, value in one.items() if name not in varying} for one in kept]


@pytest.fixture
def expected(other_importer: Any) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    result = other_importer(content())
    return result, told(other_importer)


@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("at_write", [1, 2, 3, 4])
def test_an_import_that_died_at_a_write_goes_on_exactly(
    importer: Any, expected: Any, at_write: int, *, committed: bool
) -> None:
    record = importer.submit(content())
    with pytest.raises(Death):
        importer.run(record, dying(at_write=at_write, committed=committed))

    outcome = importer.run(record)

    result, documents = expected
    assert outcome.ending == "succeeded"
    assert {**outcome.result, "refused_rows": ""} == {**result, "refused_rows": ""}
    assert told(importer) == documents


def test_an_import_that_dies_after_every_single_write_still_ends(importer: Any, expected: Any) -> None:
    record = importer.submit(content())
    for _ in range(4):
        with pytest.raises(Death):
            importer.run(record, dying(at_write=1, committed=True))

    outcome = importer.run(record)

    result, documents = expected
    assert {**outcome.result, "refused_rows": ""} == {**result, "refused_rows": ""}
    assert told(importer) == documents


@pytest.mark.parametrize("deleted", [False, True], ids=["before the file went", "after the file went"])
def test_an_import_that_died_at_its_end_does_not_need_the_file_again(
    importer: Any, monkeypatch: pytest.MonkeyPatch, *, deleted: bool
) -> None:
    record = importer.submit(b"message\na\nb\n")
    blobs = importer.services.blobs
    delete = blobs.delete

    def die(blob_id: str) -> None:
        if deleted:
            delete(blob_id)
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "delete", die)
        with pytest.raises(Death):
            importer.run(record)
    outcome = importer.run(record)

    assert (outcome.ending, outcome.result["new"]) == ("succeeded", 2)
    assert not blobs.exists(record.payload["blob_id"])


def test_a_worker_that_lost_its_job_writes_nothing_more(importer: Any) -> None:
    record = importer.submit(content())
    later: list[Any] = []

    class Overtaken(Context):
        def write(self, *args: Any, **options: Any) -> Any:
            if not later and options.get("done") == BATCH_ROWS:
                importer.services.jobs.give_back(self.claimed)
                later.append(importer.run(record))
            return super().write(*args, **options)

    stale = importer.run(record, Overtaken)

    assert stale.ending == "lost"
    assert later[0].ending == "succeeded"
    assert later[0].result["rows"] == 3 * BATCH_ROWS - 40
    assert len(importer.find(TICKETS)) == later[0].result["new"]


def test_an_import_stops_between_batches_when_asked_and_goes_on_from_there(importer: Any, expected: Any) -> None:
    record = importer.submit(content())
    claims: list[int] = []

    class Closing(Signals):
        def closing(self) -> bool:
            return len(importer.find(TICKETS)) >= BATCH_ROWS // 2

    def closing(services: Services, claimed: Claimed) -> Context:
        claims.append(claimed.claim)
        return Context(services, claimed, Closing())

    first = importer.run(record, closing)
    after_first = len(importer.find(TICKETS))
    second = importer.run(record)

    assert (first.ending, second.ending) == ("given_back", "succeeded")
    assert 0 < after_first <= BATCH_ROWS
    assert {**second.result, "refused_rows": ""} == {**expected[0], "refused_rows": ""}


def test_progress_is_counted_in_rows(importer: Any) -> None:
    record = importer.submit(content())

    importer.run(record)

    progress = importer.services.jobs.get(importer.org_id, record.id).progress
    assert (progress.done, progress.total) == (3 * BATCH_ROWS - 40, 3 * BATCH_ROWS - 40)
