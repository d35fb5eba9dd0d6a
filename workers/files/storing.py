"""What imports have in common: whose deed they are, and writing until nobody interferes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from common.errors import JobFailed, NotFound, Unavailable
from common.files import ledger
from common.files.collections import ROOMS
from common.files.ledger import GivenUp
from common.files.room import active
from common.files.sharing import Deed, Overtaken
from workers.context import Context

T = TypeVar("T")
TRIES = 20


def deed(ctx: Context) -> Deed:
    """Return who asked for the job, as the audit log names them."""
    return Deed(ctx.claimed.submitted_by, ctx.request_id, ctx.services.clock.now(), ctx.job_id)


def until_settled(attempt: Callable[[], T]) -> T:
    """Return what *attempt* returns; it is made again while others share or remove the same contents.

    Raises `JobFailed` if the room or the bytes are gone.
    """
    for _ in range(TRIES):
        try:
            return attempt()
        except Overtaken:
            continue
        except NotFound as error:
            raise _room_gone() from error
        except GivenUp as error:
            raise JobFailed("The file is no longer stored; upload it again.", code="file-gone") from error
    raise Unavailable("Others keep sharing and removing the same files.")


@contextmanager
def giving_up(ctx: Context, *, unless: Collection[str] = ()) -> Iterator[None]:
    """Give up at once what the job uploaded or wrote when the block finds that it can't succeed.

    What fails with a code in *unless* may be retried, and keeps it. Who fails otherwise is looked after by the
    cleaner, in its time.
    """
    try:
        yield
    except JobFailed as error:
        if error.shown_code not in unless:
            _give_up(ctx)
        raise


def room_must_be_there(ctx: Context, room_id: str) -> None:
    """Go on if the room is there. Raises `JobFailed`: what would be imported into it would be for nothing."""
    if ctx.scope[ROOMS].find_one(active(room_id), projection={"_id": 1}) is None:
        raise _room_gone()


def drop(ctx: Context, blob_ids: Sequence[str]) -> None:
    """Delete the bytes of blobs that are doomed."""
    scope = ctx.services.scope(ctx.org_id)
    ledger.delete(scope, ctx.blobs, blob_ids, ctx.services.clock.now())


def _give_up(ctx: Context) -> None:
    mine = [one.blob_id for one in ledger.of_job(ctx.scope, ctx.job_id)]
    if mine:
        now = ctx.services.clock.now()
        ctx.write(lambda scope: ledger.settle(scope, kept=(), unneeded=mine, now=now, job_id=ctx.job_id))
        drop(ctx, mine)


def _room_gone() -> JobFailed:
    return JobFailed("The room was deleted, so nothing is imported into it.", code="room-gone")
