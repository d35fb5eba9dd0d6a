"""What a worker does with records: claim, confirm, renew, finish, put aside; one, or those that ride together."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession

from common.ids import JobId, OrgId, new_id
from common.jobs.children import WAITING, Closed
from common.jobs.holds import held_update
from common.jobs.leases import CLAIMED_FIELDS, Claimed, Held, LeaseNews, any_lease_of, lease_of, read_claimed
from common.jobs.members import Entry, Member
from common.jobs.record import State
from common.jobs.records import Records, expiry, leaving


class Running(Records):
    """The steps of a worker; each but the first needs the lease that `claim` gives."""

    def claim(self, member: Member, worker: str) -> Claimed | None:
        """Take the job for this worker, or return `None`: somebody has it, or it has ended.

        One round trip that waits for no other server, so the claim number is not to be used before `confirm`.
        """
        token = new_id()
        document = self._soon.find_one_and_update(
            {"_id": member.job_id, "org_id": member.org_id, "state": "queued"},
            self._claiming(worker, {"$literal": token}),
            projection=CLAIMED_FIELDS,
            return_document=ReturnDocument.AFTER,
        )
        if document is None:
            return None
        self.tell([member.job_id])
        return read_claimed(document, token)

    def claim_all(self, members: Sequence[Member], worker: str) -> list[Claimed]:
        """Take those of *members* that can be had, in their order, each with its own lease. Two round trips."""
        if len(members) == 1:
            alone = self.claim(members[0], worker)
            return [alone] if alone is not None else []
        mark = secrets.token_hex(8)
        these = {"_id": {"$in": [one.job_id for one in members]}, "org_id": {"$in": _orgs(members)}}
        claiming = self._claiming(worker, {"$concat": [f"{mark}.", "$_id"]})
        self._soon.update_many({**these, "state": "queued"}, claiming)
        tokens = [f"{mark}.{one.job_id}" for one in members]
        mine = {**these, "state": "running", "lease.token": {"$in": tokens}}
        found = {
            one["_id"]: read_claimed(one, f"{mark}.{one['_id']}") for one in self._soon.find(mine, CLAIMED_FIELDS)
        }
        foreign = [one for one in members if one.job_id in found and found[one.job_id].org_id != one.org_id]
        if foreign:  # a member that names another's job: nobody is to run it in that name
            self.give_back_all([found.pop(one.job_id) for one in foreign])
        self.tell(list(found))
        return [found[one.job_id] for one in members if one.job_id in found]

    def confirm(self, claimed: Claimed) -> bool:
        """Wait until a majority has this claim; `False` if it was rolled back, or lost since.

        A claim that a failover rolls back gives its number to the next one too, so nothing may be written under
        it before. The update changes nothing, and waits for all that came before it.
        """
        same = {"$set": {"lease.token": claimed.token}}
        return self._jobs.update_one(lease_of(claimed), same).matched_count == 1

    def make_children(
        self, session: ClientSession, claimed: Claimed, step: str, documents: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Insert *documents* as children of a running job. Returns and raises like `Children.make`."""
        return self.children.make(session, lease_of(claimed), step, documents)

    def renew(self, held: Sequence[Held]) -> None:
        """Renew these leases; those that were lost stay lost (`news` tells)."""
        if held:
            self._jobs.update_many(any_lease_of(held), [{"$set": {"lease.expires_at": self._lease_end()}}])

    def news(self, held: Sequence[Held]) -> LeaseNews:
        """Look which of these leases were lost, whose jobs are to be cancelled or given back. One read."""
        if not held:
            return LeaseNews()
        # From the primary as it stands: a majority may not have the newest claims yet.
        mine = {one["lease"]["token"]: one for one in self._soon.find(any_lease_of(held), _NEWS_FIELDS)}
        return LeaseNews(
            lost=frozenset(one.token for one in held if one.token not in mine),
            cancelled=frozenset(token for token, one in mine.items() if one.get("cancel_requested")),
            asked_back=frozenset(token for token, one in mine.items() if one.get("asked_back")),
        )

    def note_progress(self, claimed: Claimed, progress: Mapping[str, Any], *, advanced: bool) -> bool:
        """Show *progress* in the record; a checkpoint that *advanced* clears the losses. Tell if the lease holds.

        For showing only, so one server's word is enough.
        """
        fields = {f"progress.{name}": value for name, value in progress.items() if name != "done"}
        if advanced:
            fields["losses"] = 0
        update: dict[str, Any] = {"$max": {"progress.done": progress["done"]}}
        if fields:
            update["$set"] = fields
        written = self._soon.update_one(lease_of(claimed), update).matched_count == 1
        if written and self._live is not None:
            self._live.progressed(claimed.job_id, progress)
        return written

    def note_parents_progress(self, org_id: OrgId, parent_id: JobId, progress: Mapping[str, Any]) -> None:
        """Show in the record of a job that waits for its children how far these are; for showing only."""
        waits = {"_id": parent_id, "org_id": org_id, "state": "waiting"}
        fields = {"progress.total": progress["total"], "progress.stage": progress["stage"]}
        update = {"$max": {"progress.done": progress["done"]}, "$set": fields}
        if self._soon.update_one(waits, update).matched_count and self._live is not None:
            self._live.progressed(parent_id, progress)

    def succeed(self, claimed: Claimed, result: Any) -> bool:
        """Finish with *result*; `False` if the lease was lost, and then nothing is written."""
        return self._end(claimed, "succeeded", {"result": result})

    def succeed_many(self, ended: Sequence[tuple[Claimed, Any]]) -> frozenset[str]:
        """Finish several jobs in one commit, each only if its lease holds; return the tokens of those that did."""
        written = self._write_successes(ended)
        self.tell([claimed.job_id for claimed, _ in ended if claimed.token in written])
        return written

    def fail(self, claimed: Claimed, problem: Mapping[str, Any], *, charged: bool) -> bool:
        """Finish with *problem*; `False` if the lease was lost. *charged*: the attempt counts."""
        return self._end(claimed, "failed", {"error": problem}, problem=problem, charged=charged)

    def finish_cancelled(self, claimed: Claimed) -> bool:
        """Finish a job that was asked to stop; `False` if the lease was lost."""
        return self._end(claimed, "cancelled", {})

    def wait(
        self,
        claimed: Claimed,
        *,
        reason: str,
        delay_s: float,
        problem: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put the job aside for *delay_s*; a *problem* makes it a failed attempt. `False`: the lease was lost."""
        until = self._clock.now() + timedelta(seconds=delay_s)
        fields = {"state": "waiting", "run_at": until, "waiting_for": {"reason": reason, "until": until}}
        return self._leave(claimed, fields, problem=problem, charged=problem is not None)

    def wait_for_children(self, claimed: Claimed) -> State | None:
        """Put the job aside until its children have ended; return its state: waiting, or queued if none is open.

        `None`: the lease was lost.
        """
        record = self._update(lease_of(claimed), WAITING)
        if record is None:
            return None
        self.tell([record.id])
        return record.state

    def hold(self, claimed: Claimed) -> bool:
        """Hold the job until its organization is restored, charging nothing. `False`: the lease was lost."""
        held = self._jobs.update_one(lease_of(claimed), held_update()).matched_count == 1
        return self._told(claimed.job_id, held)

    def give_back(self, claimed: Claimed | Held) -> bool:
        """Queue the job again for another worker, charging nothing. `False`: the lease was lost."""
        return self._leave(claimed, {"state": "queued"})

    def give_back_all(self, claimed: Sequence[Claimed]) -> None:
        """Queue these again, charging nothing; those whose lease was lost stay as they are."""
        self._jobs.update_many(any_lease_of(claimed), leaving({"state": "queued"}, problem=None, charged=False))
        self.tell([one.job_id for one in claimed])

    def _write_successes(self, ended: Sequence[tuple[Claimed, Any]]) -> frozenset[str]:
        if any(claimed.parent_id for claimed, _ in ended):
            return self._succeed_with_parents(ended)
        these = [claimed for claimed, _ in ended]
        if self._jobs.update_many(any_lease_of(these), self._all_succeed(ended)).matched_count == len(ended):
            return frozenset(claimed.token for claimed in these)
        return self._succeeded_among(these)

    def _claiming(self, worker: str, token: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        lease = {"worker": {"$literal": worker}, "token": token, "expires_at": self._lease_end()}
        begun = {"claims": {"$add": ["$claims", 1]}, "started_at": {"$ifNull": ["$started_at", "$$NOW"]}}
        return [
            {"$set": {"state": "running", "lease": lease, **begun}},
            {"$unset": ["waiting_for", "run_at", "asked_back"]},
        ]

    def _all_succeed(self, ended: Sequence[tuple[Claimed, Any]]) -> list[Mapping[str, Any]]:
        """Return one update that gives each record its own result: cheaper than as many updates."""
        now = self._clock.now()
        which = {"$indexOfArray": [{"$literal": [claimed.job_id for claimed, _ in ended]}, "$_id"]}
        result = {"$arrayElemAt": [{"$literal": [result for _, result in ended]}, which]}
        ending = {"state": "succeeded", "finished_at": now, **expiry("succeeded", now), "result": result}
        return [{"$set": ending}, {"$unset": ["lease"]}]

    def _successes(self, ended: Sequence[tuple[Claimed, Any]]) -> list[UpdateOne]:
        now = self._clock.now()
        fields = {"state": "succeeded", "finished_at": now, **expiry("succeeded", now)}
        return [
            UpdateOne(lease_of(claimed), {"$set": {**fields, "result": result}, "$unset": {"lease": ""}})
            for claimed, result in ended
        ]

    def _succeed_with_parents(self, ended: Sequence[tuple[Claimed, Any]]) -> frozenset[str]:
        updates, now = self._successes(ended), self._clock.now()

        def work(session: ClientSession) -> tuple[frozenset[str], list[Entry]]:
            self._jobs.bulk_write(updates, ordered=False, session=session)
            written = self._succeeded_among([claimed for claimed, _ in ended], session)
            closed = [
                Closed(one.org_id, one.parent_id, one.job_id)
                for one, _ in ended
                if one.parent_id is not None and one.token in written
            ]
            return written, self.children.close(session, closed, now) if closed else []

        written, woken = self._control.transaction(work)
        self._woken(woken)
        return written

    def _succeeded_among(self, ended: Sequence[Claimed], session: ClientSession | None = None) -> frozenset[str]:
        claims = {
            (one["_id"], one["claims"])
            for one in self._jobs.find(
                {
                    "_id": {"$in": [claimed.job_id for claimed in ended]},
                    "org_id": {"$in": list({claimed.org_id for claimed in ended})},
                    "state": "succeeded",
                },
                {"claims": 1},
                session=session,
            )
        }
        return frozenset(one.token for one in ended if (one.job_id, one.claim) in claims)

    def _end(
        self,
        claimed: Claimed,
        state: str,
        fields: Mapping[str, Any],
        *,
        problem: Mapping[str, Any] | None = None,
        charged: bool = False,
    ) -> bool:
        now = self._clock.now()
        ending = {"state": state, "finished_at": now, **expiry(state, now), **fields}
        update = leaving(ending, problem=problem, charged=charged)
        return self._finish(lease_of(claimed), update, claimed.parent_id)

    def _leave(
        self,
        claimed: Claimed | Held,
        fields: Mapping[str, Any],
        *,
        problem: Mapping[str, Any] | None = None,
        charged: bool = False,
    ) -> bool:
        update = leaving(fields, problem=problem, charged=charged)
        return self._told(claimed.job_id, self._jobs.update_one(lease_of(claimed), update).matched_count == 1)

    def _lease_end(self) -> Mapping[str, Any]:
        return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": self._lease_ms}}


def _orgs(members: Sequence[Member]) -> list[OrgId]:
    return list({one.org_id for one in members})


_NEWS_FIELDS = {"lease.token": 1, "cancel_requested": 1, "asked_back": 1}
