"""What imports have in common: whose deed they are, and writing until nobody interferes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from common.errors import JobFailed, NotFound, Unavailable
from common.files import ledger
from common.files.ledger import GivenUp
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
            raise JobFailed("The room is no longer there.", code="room-gone") from error
        except GivenUp as error:
            raise JobFailed("The file is no longer stored; upload it again.", code="file-gone") from error
    raise Unavailable("Others keep sharing and removing the same files.")


def drop(ctx: Context, blob_ids: Sequence[str]) -> None:
    """Delete the bytes of blobs that are doomed."""
    scope = ctx.services.scope(ctx.org_id)
    ledger.delete(scope, ctx.blobs, blob_ids, ctx.services.clock.now())
