"""Tickets as people make, change, delete and restore them; each change is one transaction with its history."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pymongo.errors import DuplicateKeyError

from common.caller import Caller
from common.clock import Clock
from common.errors import Conflict, NotFound, Stale
from common.ids import OrgId, new_id
from common.jobs.idempotency import AlreadyAnswered, Once, do_once
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope
from common.tickets import tombstones
from common.tickets.answers import Part, part_of
from common.tickets.asked import changed, made_of
from common.tickets.collections import HISTORY, TICKETS, TOMBSTONES
from common.tickets.counting import delta
from common.tickets.counting.folding import fold_all
from common.tickets.history import Action, Changes, differences, entry
from common.tickets.responding import answered
from common.tickets.revising import COMPUTED, GONE
from common.tickets.ticket import document, ticket

SOURCE = "manual"
"""The source of tickets that are made by hand, which nothing ingests."""

FOLDED_ONCE_IN = 64
ABSENT = "There is no such ticket."
Stored = dict[str, Any]
T = TypeVar("T")


class TicketsByHand:
    """The tickets of all organizations, each asked for with its organization, as MongoDB keeps them.

    *written* is told whose ticket was made or changed.
    """

    def __init__(
        self,
        control: ControlPlane,
        scope_of: Callable[[OrgId], OrgScope],
        clock: Clock,
        *,
        kept_for: timedelta,
        written: Callable[[OrgId], None] = lambda _: None,
    ) -> None:
        self._control = control
        self._scope_of = scope_of
        self._clock = clock
        self._kept_for = kept_for
        self._written = written

    def create(self, who: Caller, fields: Mapping[str, Any], *, once: Once | None = None) -> Stored:
        """Make a ticket of *fields*, which `read_fields` gave. Raises `Conflict` for an external id that is taken.

        The answer that *once* makes of a ticket shows at least what is computed of it, and `created_at`. For a
        used key it raises whatever `do_once` does.
        """
        scope = self._scope_of(who.org_id)
        made = _new(fields, new_id(), self._clock.now())
        if once is None:
            self._insert(scope, made)
            return made

        # Keys are kept in the control plane and tickets in their organization's database, and no transaction spans
        # both. So the answer is kept first, and whoever repeats the request makes that very ticket, unless it was.
        def effect(_: object) -> Stored:
            _refuse_taken(scope, made)
            return made

        try:
            do_once(self._control.idempotency, once, self._clock.now, effect, self._control.transaction)
        except AlreadyAnswered as replay:
            again = _as_answered(fields, replay.answer.body)
            # One that was deleted since stays so.
            if scope[TOMBSTONES].find_one({"_id": again["_id"]}) is None:
                self._insert(scope, again)
            raise
        self._insert(scope, made)
        return made

    def get(self, org_id: OrgId, ticket_id: str) -> Stored:
        """Return a ticket, also a deleted one. Raises `NotFound`."""
        return _find(self._scope_of(org_id), ticket_id)

    def history(self, org_id: OrgId, ticket_id: str, *, before: str | None, limit: int) -> Part:
        """List up to *limit* changes of a ticket, the newest first, from *before* (one's id) on.

        They are as many as an answer may hold.

        Raises `NotFound`.
        """
        scope = self._scope_of(org_id)
        _find(scope, ticket_id)
        where = {"ticket_id": ticket_id, **({} if before is None else {"_id": {"$lt": before}})}
        return part_of(scope[HISTORY].find(where, sort=[("_id", -1)], limit=limit))

    def change(self, who: Caller, ticket_id: str, fields: Mapping[str, Any], *, revision: int | None) -> Stored:
        """Set *fields*, which `read_fields` gave, as `changed` does; with *revision* in that one only.

        Raises `NotFound`, `Stale`, `Conflict` for a deleted ticket, or `Invalid` for too many attributes.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> tuple[Stored, bool]:
            was = _find(scope, ticket_id, revision=revision)
            if was["deleted_at"] is not None:
                raise Conflict("This ticket is deleted. Restore it first.")
            after = changed(was, fields)
            if not after:
                return was, False
            _note(scope, ticket_id, "edited", differences(was, after), by=who, at=at)
            return _revise(scope, was, at, {**after, **answered(was, after, at)}), True

        return self._change(who.org_id, work)

    def delete(self, who: Caller, ticket_id: str, *, revision: int | None) -> None:
        """Delete a ticket, which can be restored until it expires; one that is deleted already stays as it is.

        With *revision* that one only. Its source does not bring it back. Raises `NotFound` or `Stale`.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> tuple[None, bool]:
            was = _find(scope, ticket_id, revision=revision)
            if was["deleted_at"] is not None:
                return None, False
            _note(scope, ticket_id, "deleted", {}, by=who, at=at)
            tombstones.lay(scope, [tombstones.tombstone(was, deleted_by=who.user_id, at=at)])
            gone = {"deleted_at": at, "deleted_by": who.user_id, "expires_at": at + self._kept_for}
            _revise(scope, was, at, gone)
            return None, True

        self._change(who.org_id, work)

    def restore(self, who: Caller, ticket_id: str, *, revision: int | None) -> Stored:
        """Restore a deleted ticket, whoever deleted it; with *revision* that one only.

        If its source has no such record, the next full run deletes it again. Raises `NotFound`, `Stale`, or
        `Conflict` for a ticket that is not deleted.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> tuple[Stored, bool]:
            was = _find(scope, ticket_id, revision=revision)
            if was["deleted_at"] is None:
                raise Conflict("This ticket is not deleted.")
            _note(scope, ticket_id, "restored", {}, by=who, at=at)
            tombstones.take_away(scope, [ticket_id])
            back = {"deleted_at": None, "content_hash": was["content_hash"].removeprefix(GONE)}
            return _revise(scope, was, at, back, without=("deleted_by", "expires_at")), True

        return self._change(who.org_id, work)

    def _change(self, org_id: OrgId, work: Callable[[OrgScope], tuple[T, bool]]) -> T:
        """Make *work*'s writes; it tells what came of them, and whether there were any."""
        done, is_written = _changing(self._scope_of(org_id), work)
        if is_written:
            self._written(org_id)
        return done

    def _insert(self, scope: OrgScope, made: Stored) -> None:
        """Insert a ticket, unless it is there. Raises `Conflict` for an external id that another has."""

        def work(inner: OrgScope) -> None:
            # What had this external id and is gone for good can't come back beside it.
            inner[TOMBSTONES].delete_many({"source_id": SOURCE, "natural_key": made["natural_key"]})
            inner[TICKETS].insert_one(made)
            delta.note(inner, [(None, made)])

        try:
            _changing(scope, work)
        except DuplicateKeyError:
            if scope[TICKETS].find_one({"_id": made["_id"]}, projection={"_id": 1}) is None:
                _refuse_taken(scope, made)
                raise  # what had it went for good at this moment; to the caller that is an outage
        else:
            self._written(scope.org_id)


def _changing(scope: OrgScope, work: Callable[[OrgScope], T]) -> T:
    """Make *work*'s writes in one transaction, and now and then fold what many of them left to be counted."""
    done = scope.transaction(work)
    if random.randrange(FOLDED_ONCE_IN) == 0:  # noqa: S311 (no secret)
        fold_all(scope)
    return done


def _new(fields: Mapping[str, Any], ticket_id: str, at: datetime) -> Stored:
    texts = {name: value for name, value in fields.items() if name not in COMPUTED}
    made = document(ticket(texts), source_id=SOURCE, now=at) | made_of(fields) | {"_id": ticket_id}
    if made["external_id"] is None:  # two tickets of the same words are two, other than two rows of a file
        made["natural_key"] = f"made:{ticket_id}"
    return made


def _as_answered(fields: Mapping[str, Any], shown: Mapping[str, Any]) -> Stored:
    """Return the new ticket of *fields* that the API showed as *shown*, whatever classifies by now."""
    made = _new(fields, shown["id"], datetime.fromisoformat(shown["created_at"]))
    return made | {name: shown[name] for name in (*COMPUTED, "classifier")}


def _refuse_taken(scope: OrgScope, made: Stored) -> None:
    there = scope[TICKETS].find_one({"source_id": SOURCE, "natural_key": made["natural_key"]})
    if there is not None:
        advice = "Restore it, or take another." if there["deleted_at"] else "Change that, or take another."
        raise Conflict(
            f"A ticket that was made by hand has this external_id. {advice}",
            extra={"ticket": f"/v1/tickets/{there['_id']}"},
        )


def _find(scope: OrgScope, ticket_id: str, *, revision: int | None = None) -> Stored:
    """Return a ticket. Raises `NotFound`, or `Stale` for another than the *revision* that is meant."""
    found = scope[TICKETS].find_one({"_id": ticket_id})
    if found is None:
        raise NotFound(ABSENT)
    # Tickets of an earlier version have neither.
    was = {"revision": None, **found, "overridden": found.get("overridden") or []}
    if revision is not None and revision != (was["revision"] or 0):
        raise _stale()
    return was


def _revise(
    scope: OrgScope, was: Stored, at: datetime, fields: Mapping[str, Any], *, without: Sequence[str] = ()
) -> Stored:
    update: dict[str, Any] = {"$set": {**fields, "updated_at": at}, "$inc": {"revision": 1}}
    if without:
        update["$unset"] = dict.fromkeys(without, "")
    same = {"_id": was["_id"], "revision": was["revision"]}
    found = scope[TICKETS].find_one_and_update(same, update, return_document=True)
    if found is None:
        raise _stale()
    delta.note(scope, [(was, found)])
    return found


def _note(scope: OrgScope, ticket_id: str, action: Action, changes: Changes, *, by: Caller, at: datetime) -> None:
    scope[HISTORY].insert_one(entry(ticket_id, action, changes, at=at, actor=by.user_id))


def _stale() -> Stale:
    return Stale("The ticket has changed since you read it. Read it again.")
