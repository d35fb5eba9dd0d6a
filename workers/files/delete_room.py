"""How a room that was deleted is emptied: its files are unlinked in batches, then its people leave.

From its mark on nobody finds the room and nothing is added to it, so a batch that is done stays done.
"""

from dataclasses import dataclass

from common.files import sharing
from common.files.audit_log import Entry
from common.files.collections import ROOM_FILES, ROOM_MEMBERS, ROOMS
from common.files.delete_room import DeleteRoom
from common.files.rooms import mark_deleted
from common.tenancy.scope import OrgScope
from workers.context import Context
from workers.files.storing import deed, drop
from workers.runner import handles

BATCH = 200


@dataclass(frozen=True)
class Emptied:
    """How many files were taken out of the room."""

    files: int


@handles(DeleteRoom)
def delete_room(ctx: Context, job: DeleteRoom) -> Emptied:
    """Empty it; deleted first, if whoever asked for it died before."""
    state = ctx.resume() or {}
    mark = _mark(ctx, job.room_id)
    ctx.write(lambda scope: mark_deleted(scope, mark))
    done, total = int(state.get("done", 0)), state.get("total")
    if total is None:
        total = ctx.scope[ROOM_FILES].count_documents({"room_id": job.room_id})
    while links := _page(ctx, job.room_id):
        done += len(links)

        def work(scope: OrgScope, links: list[str] = links) -> list[str]:
            return sharing.unlink(scope, job.room_id, links, deed(ctx))

        doomed = ctx.write(
            work, checkpoint={"done": done, "total": total}, done=done, total=total, stage="removing"
        )
        drop(ctx, doomed)
    ctx.write(lambda scope: _forget(scope, job.room_id))
    ctx.services.storage.tell(ctx.org_id)
    return Emptied(done)


def _forget(scope: OrgScope, room_id: str) -> None:
    scope[ROOM_MEMBERS].delete_many({"room_id": room_id})
    scope[ROOMS].delete_one({"_id": room_id, "state": "deleted"})


def _mark(ctx: Context, room_id: str) -> Entry:
    by = deed(ctx)
    return Entry("room.deleted", room_id, by.actor_id, by.at, by.request_id, job_id=by.job_id)


def _page(ctx: Context, room_id: str) -> list[str]:
    found = ctx.scope[ROOM_FILES].find({"room_id": room_id}, projection={"file_id": 1}, limit=BATCH)
    return [one["file_id"] for one in found]
