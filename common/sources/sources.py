"""Sources: made, found, changed and deleted, with the secrets and the turns that belong to them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from common.caller import Caller
from common.clock import Clock
from common.errors import Conflict, Fault, Invalid, NotFound, Stale
from common.ids import OrgId
from common.jobs.idempotency import AlreadyAnswered, Once, do_once
from common.jobs.submit import Submitter
from common.keys import SecretKeys
from common.outbound.addresses import Addresses
from common.outbound.url import read_url
from common.sources import credentials as secrets_of
from common.sources import turns
from common.sources.collections import SOURCES
from common.sources.draft import Draft, demand_sound
from common.sources.running import Runs
from common.sources.source import ABSENT, Source, active, find_source, read_source, source_document
from common.tenancy.control import ControlPlane
from common.tenancy.scope import OrgScope

SOURCES_MOST = 1_000
REMEMBERED_FOR = timedelta(days=2)
"""How long a deleted source is remembered: longer than the request that made it may be repeated."""


class Sources:
    """The sources of all organizations, each asked for with its organization."""

    def __init__(
        self,
        control: ControlPlane,
        scope_of: Callable[[OrgId], OrgScope],
        submitter: Submitter,
        runs: Runs,
        *,
        keys: SecretKeys,
        addresses: Addresses,
        clock: Clock,
    ) -> None:
        self._control = control
        self._scope_of = scope_of
        self._submitter = submitter
        self._runs = runs
        self._keys = keys
        self._addresses = addresses
        self._clock = clock

    def create(
        self, who: Caller, draft: Draft, credentials: Mapping[str, str], *, once: Once | None = None
    ) -> Source:
        """Make a source. Raises `Invalid`, or `Conflict` where there are as many as may be.

        The answer that *once* makes of it shows at least its id, who made it and when. For a used key it raises
        whatever `do_once` does.
        """
        demand_sound(draft, self._addresses, credentials)
        source = draft.source(by=who.user_id, at=self._clock.now())
        if once is not None:
            # As with rooms: the answer is kept first, in the control plane, and from it and the same request that
            # very source can be made by whoever repeats it, should nobody come to make it here.
            control = self._control
            try:
                do_once(control.idempotency, once, self._clock.now, lambda _: source, control.transaction)
            except AlreadyAnswered as replay:
                self._make(who.org_id, _as_shown(draft, replay.answer.body), credentials)
                raise
        self._make(who.org_id, source, credentials)
        return source

    def get(self, org_id: OrgId, source_id: str) -> Source:
        """Return a source. Raises `NotFound`, also for one that is deleted."""
        return find_source(self._scope_of(org_id), source_id)

    def page(self, org_id: OrgId, *, before: str | None, limit: int) -> list[Source]:
        """List up to *limit* sources, the newest first."""
        where = {"state": "active", **({} if before is None else {"_id": {"$lt": before}})}
        found = self._scope_of(org_id)[SOURCES].find(where, sort=[("_id", -1)], limit=limit, hint="newest")
        return [read_source(one) for one in found]

    def credentials_of(self, org_id: OrgId, source: Source) -> dict[str, str]:
        """Return what the API of *source*, as it was read, wants to be shown, by name; for a run only.

        Raises `Unavailable` if the source has been given another host since, whose secrets these would be.
        """
        return secrets_of.reveal(self._scope_of(org_id), self._keys, source)

    def credentials(self, org_id: OrgId, source_id: str) -> dict[str, str]:
        """Return the credentials of a source as it is now. Raises like `get` and `credentials_of`."""
        return self.credentials_of(org_id, self.get(org_id, source_id))

    def change(
        self,
        who: Caller,
        source_id: str,
        fields: Mapping[str, Any],
        *,
        credentials: Mapping[str, str] | None,
        revision: int | None,
    ) -> Source:
        """Give a source other *fields*, those of a `Draft`, and other *credentials*; with *revision* to that only.

        Raises `NotFound`, `Stale`, `Invalid`, or `Conflict` for another address or config while a run goes on.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> Source:
            was = _find(scope, source_id, revision)
            draft = replace(Draft.of(was), **fields)
            self._demand_sound_change(scope, was, draft, credentials)
            return self._changed(scope, was, replace(was, **draft.settled()), credentials, at)

        return self._scope_of(who.org_id).transaction(work)

    def delete(self, who: Caller, source_id: str, *, revision: int | None) -> None:
        """Delete a source with its secrets, and ask its run to stop; its tickets stay.

        Raises `NotFound` or `Stale`.
        """
        at = self._clock.now()

        def work(scope: OrgScope) -> str | None:
            _find(scope, source_id, revision)
            gone = {"state": "deleted", "deleted_at": at, "expires_at": at + REMEMBERED_FOR}
            scope[SOURCES].update_one(active(source_id), {"$set": gone, "$inc": {"touches": 1}})
            secrets_of.forget(scope, source_id)
            return turns.end(scope, source_id)

        job_id = self._scope_of(who.org_id).transaction(work)
        if job_id is not None:
            with suppress(NotFound, Conflict):  # it has ended already, or was never accepted
                self._submitter.cancel(who.org_id, job_id)

    def _demand_sound_change(
        self, scope: OrgScope, was: Source, draft: Draft, credentials: Mapping[str, str] | None
    ) -> None:
        """Go on if *was* can become what *draft* says, with these credentials or with those that it has."""
        kept = secrets_of.names_of(scope, [was.source_id]).get(was.source_id, ())
        # What is kept must still be what the connector takes; of each, what it says was judged before.
        shown = dict.fromkeys(kept, "kept") if credentials is None and kept else credentials
        demand_sound(draft, self._addresses, shown)
        if credentials is None and kept:
            _demand_same_host(was, draft)

    def _changed(
        self, scope: OrgScope, was: Source, now: Source, credentials: Mapping[str, str] | None, at: datetime
    ) -> Source:
        """Write what *was* becomes, with all that hangs on it, in the transaction of *scope*."""
        is_unplanned = _is_unplanned(scope, was, now)
        # By what is kept: Python takes 1 for True, a config does not.
        if _as_kept(now) == _as_kept(was) and credentials is None and not is_unplanned:
            return was
        asks_else = now.base_url != was.base_url or _as_kept(now)["config"] != _as_kept(was)["config"]
        now = replace(now, updated_at=at, revision=was.revision + 1, generation=was.generation + int(asks_else))
        if asks_else:
            self._runs.demand_none(scope, was.source_id)
            turns.begin_anew(scope, was.source_id)
        if is_unplanned:
            turns.plan_next(scope, now, at)
        if credentials is not None:
            secrets_of.keep(scope, self._keys, now, credentials)
        return _replaced(scope, was, now)

    def _make(self, org_id: OrgId, source: Source, credentials: Mapping[str, str]) -> None:
        """Make *source*, unless it was made before; then it stays as it is, also deleted."""

        def work(scope: OrgScope) -> None:
            if scope[SOURCES].find_one({"_id": source.source_id}, projection={"_id": 1}) is not None:
                return
            _bound(scope)
            scope[SOURCES].insert_one(source_document(source))
            secrets_of.keep(scope, self._keys, source, credentials)
            turns.plan_next(scope, source, source.created_at)

        self._scope_of(org_id).transaction(work)


def _find(scope: OrgScope, source_id: str, revision: int | None) -> Source:
    """Return a source, with *revision* that one only. Raises `NotFound` or `Stale`."""
    found = find_source(scope, source_id)
    if revision not in {None, found.revision}:
        raise Stale("The source has changed since you read it. Read it again.")
    return found


def _demand_same_host(was: Source, now: Draft) -> None:
    """Raise `Invalid` if another host would be shown the secrets that were given for the one before."""
    if read_url(now.base_url).origin != read_url(was.base_url).origin:
        raise Invalid(
            "Some fields are not valid; see errors.",
            [Fault("Another host is not shown what was given for this one: send them again.", "/credentials")],
        )


def _is_unplanned(scope: OrgScope, was: Source, now: Source) -> bool:
    """Tell whether the next run has to be planned: for another interval, or for a source from an archive."""
    if now.every_minutes != was.every_minutes:
        return True
    return now.every_minutes is not None and turns.find_turn(scope, was.source_id).next_run_at is None


def _as_kept(source: Source) -> dict[str, Any]:
    """Return the document of *source*, with its config as the text that all equal configs have."""
    return source_document(source) | {"config": orjson.dumps(source.config, option=orjson.OPT_SORT_KEYS)}


def _replaced(scope: OrgScope, was: Source, now: Source) -> Source:
    """Write *now* in the place of *was*, in the transaction of *scope*, in which nobody else can change it."""
    same = active(was.source_id) | {"revision": was.revision}
    fields = {name: value for name, value in source_document(now).items() if name != "_id"}
    if not scope[SOURCES].update_one(same, {"$set": fields}):
        raise NotFound(ABSENT)
    return now


def _as_shown(draft: Draft, body: Mapping[str, Any]) -> Source:
    """Return the new source of which the API showed *body* when *draft* was asked for."""
    at = datetime.fromisoformat(body["created_at"])
    return draft.source(by=body["created_by"], at=at, source_id=body["id"])


def _bound(scope: OrgScope) -> None:
    """Refuse, in the transaction, one source too many.

    Each creation moves the newest source that it sees, so that those of an organization at the same moment meet
    there and happen one after the other: the last one is the last, however many are asked for.
    """
    for newest in scope[SOURCES].find({"state": "active"}, sort=[("_id", -1)], limit=1, projection={"_id": 1}):
        scope[SOURCES].update_one({"_id": newest["_id"]}, {"$inc": {"touches": 1}})
    if scope[SOURCES].count_documents({"state": "active"}, limit=SOURCES_MOST) >= SOURCES_MOST:
        raise Conflict(f"An organization has at most {SOURCES_MOST} sources. Delete one first.")
