"""What happens to an organization once it is there: renamed, deleted, restored.

active ──delete──▶ deleted ──kept for 30 days──▶ purging ──▶ purged (a tombstone: that it was, not what)
   ▲                  │
   └─────restore──────┘
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common.caller import Caller
from common.clock import Clock, rfc3339
from common.errors import Conflict
from common.events import EventType, append
from common.ids import PLATFORM, JobId, new_id
from common.jobs.idempotency import Once, look_up
from common.jobs.kind import Job
from common.jobs.record import JobRecord, new_document
from common.jobs.submit import Submitter
from common.organizations import slugs
from common.organizations.delete import DeleteOrganization
from common.organizations.purge import PurgeOrganization
from common.organizations.restore import RestoreOrganization
from common.tenancy.changes import Change, Changes
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Organization, Registry


@dataclass(frozen=True)
class Deletion:
    """When an organization was deleted and when it will be purged; *deletion_id* tells it from later ones."""

    deletion_id: str
    at: datetime
    purge_at: datetime


class Life:
    """Changes organizations. Each change is one transaction of the control plane, with its event."""

    def __init__(
        self,
        control: ControlPlane,
        registry: Registry,
        changes: Changes,
        submitter: Submitter,
        clock: Clock,
        *,
        kept_for: timedelta,
    ) -> None:
        self._control = control
        self._registry = registry
        self._changes = changes
        self._submitter = submitter
        self._clock = clock
        self._kept_for = kept_for

    def change(self, was: Organization, fields: Mapping[str, Any], *, by: str) -> Organization:
        """Give an organization another *name*, *slug*, *settings* or *tier*; its old slug is kept for a day.

        Raises `Stale` if it is not as it *was*, `Conflict` for a slug that can't be had.
        """
        slug = fields.get("slug", was.slug)

        def work(change: Change) -> None:
            now = self._clock.now()
            said: dict[str, Any] = {"fields": sorted(fields)}
            if slug != was.slug:
                document = {"org_id": was.org_id, "state": "taken", "at": now}
                slugs.take(self._control, change.session, slug, document, now)
                slugs.give_up(self._control, change.session, was.slug, was.org_id, now)
                said["slug"] = {"old": was.slug, "new": slug}
            self._registry.change(change, was, fields)
            self._tell(change, was, "OrganizationUpdated", by, said)

        try:
            self._changes.transact(work)
        except DuplicateKeyError as error:
            raise slugs.taken(slug) from error
        return self._registry.get(was.org_id, fresh=True)

    def delete(self, was: Organization, caller: Caller) -> JobRecord:
        """Delete an organization: nobody of it comes in from now on, and a job of the platform holds its jobs.

        Its purge is accepted in the same transaction, for when it can no longer be restored.
        Raises `Stale` if it is not as it *was*, `Conflict` if it was deleted before.
        """
        if not was.is_active:
            raise Conflict("The organization was deleted before.")
        now = self._clock.now()
        deletion = Deletion(new_id(), now, now + self._kept_for)
        purge = PurgeOrganization(of_org=was.org_id, deletion_id=deletion.deletion_id)
        platform = _for_platform(caller)
        kept = {"deletion_id": deletion.deletion_id, "at": now, "purge_at": deletion.purge_at}

        def work(change: Change) -> None:
            self._registry.change(change, was, {"state": "deleted", "deletion": kept})
            said = {"purge_at": rfc3339(deletion.purge_at)}
            self._tell(change, was, "OrganizationDeleted", caller.user_id, said)
            document = new_document(
                platform,
                purge,
                org_id=PLATFORM,
                job_id=JobId(deletion.deletion_id),
                now=now,
                run_at=deletion.purge_at,
                priority=None,
                tags=[],
            )
            self._control.jobs.insert_one(document, session=change.session)

        return self._accept(platform, DeleteOrganization(of_org=was.org_id), work)

    def restore(self, was: Organization, caller: Caller, *, once: Once | None = None) -> JobRecord:
        """Restore a deleted organization: its people come in again, and a job lets its jobs go on.

        Raises `Stale` if it is not as it *was*, `Conflict` if it is not deleted, or is being purged; for a used
        key whatever `look_up` raises.
        """
        if once is not None:
            look_up(self._control.idempotency, once, self._clock.now())
        if was.state != "deleted":
            raise Conflict(
                "The organization is not deleted."
                if was.is_active
                else "The time in which it could be restored is over."
            )
        document = self._control.organizations.find_one({"_id": was.org_id}, {"deletion": 1}) or {}

        def work(change: Change) -> None:
            self._registry.change(change, was, {"state": "active"}, unset=("deletion",))
            self._tell(change, was, "OrganizationRestored", caller.user_id, {})

        record = self._accept(_for_platform(caller), RestoreOrganization(of_org=was.org_id), work, once)
        self._call_off(document.get("deletion", {}).get("deletion_id"))
        return record

    def _tell(
        self, change: Change, of: Organization, event: EventType, actor: str, data: Mapping[str, Any]
    ) -> None:
        append(self._control, change.session, self._clock, of.org_id, event, actor=actor, data=data)

    def _accept(
        self, platform: Caller, job: Job, work: Callable[[Change], None], once: Once | None = None
    ) -> JobRecord:
        """Accept the platform's *job* in the transaction of *work*, then tell everybody of the change."""
        last: list[Change] = []

        def also(session: ClientSession) -> None:
            last[:] = [self._changes.within(session)]
            work(last[0])

        record = self._submitter.submit(platform, job, also=also, once=once)
        self._changes.tell(last[0])
        return record

    def _call_off(self, deletion_id: str | None) -> None:
        """Cancel the purge; one that is left finds that its deletion is no longer so, and ends."""
        if deletion_id is not None:
            try:
                self._submitter.cancel(PLATFORM, deletion_id)
            except Conflict:
                return


def _for_platform(caller: Caller) -> Caller:
    return Caller(
        org_id=PLATFORM,
        user_id=caller.user_id,
        role=caller.role,
        request_id=caller.request_id,
        traceparent=caller.traceparent,
    )
