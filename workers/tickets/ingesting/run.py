"""One run of an ingestion: its pages written one by one, then, of a full run, what was not seen deleted."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from common.connectors.connector import Asked, Page
from common.coordination.lock import Lease
from common.errors import CancelRequested, Defer, FairwayError, GivenBack, HostIll, JobFailed, Unavailable
from common.ids import JobId
from common.metrics import INGESTION_PAGES, INGESTION_TICKETS
from common.sources import logs
from common.tenancy.scope import OrgScope
from common.tickets import seen
from common.tickets.batches import refused_documents
from common.tickets.collections import REFUSED_ROWS
from common.tickets.counts import REFUSED_KEPT_MAX
from common.tickets.fingerprints import Fingerprints
from common.tickets.ingest import IngestTickets
from common.tickets.reading.rows import Refusal
from common.tickets.sync import Incoming, Overtaken, Plan, plan, plan_gone
from common.tickets.ticket import Ticket
from workers.context import Context
from workers.tickets.folding import Folding
from workers.tickets.ingesting import shape, turning, vanished
from workers.tickets.ingesting.calling import Calls, Origin
from workers.tickets.ingesting.ledger import Ledger, figures
from workers.tickets.ingesting.records import Records, Sorted
from workers.tickets.ingesting.shape import Shape
from workers.tickets.ingesting.state import State, Tally

OVERLAP = timedelta(minutes=5)
"""How far an incremental run reaches back: some sources date a change earlier than they show it."""

TURN_S = 600.0
"""How long a run keeps its slot at a time."""

FAILURES_MAX = 8
_BACKOFF_FIRST_S = 2.0
_BACKOFF_MOST_S = 300.0
_TRIES = 20


@dataclass(frozen=True)
class IngestionResult:
    """What a run did. *read* is the sum of the records by what became of them; *deleted* counts tickets.

    *kept_because* says why a full run deleted nothing though it saw less than there is.
    """

    source_id: str
    mode: str
    pages: int
    passes: int
    read: int
    new: int
    updated: int
    unchanged: int
    returned: int
    repeated: int
    errors: int
    deleted: int
    kept_because: str | None
    shape_changes: list[dict[str, Any]]
    refused_records: str


class Run:
    """One run of one source, under its lock."""

    def __init__(self, ctx: Context, job: IngestTickets, of: Origin, lease: Lease, folding: Folding) -> None:
        self._ctx = ctx
        self._job = job
        self._source = of.source
        self._connector = of.connector
        self._calls = Calls(ctx, of)
        self._ledger = Ledger(ctx, lease)
        self._folding = folding
        self._began = ctx.services.clock.monotonic()
        self._records = Records(of.connector)
        self._pages = INGESTION_PAGES.labels(of.source.connector)

    def go(self, state: State) -> State:
        """Go on from *state* to the end of the run. Raises whatever a run waits for or fails by."""
        try:
            return self._go(state)
        except FairwayError:
            with suppress(CancelRequested, GivenBack):  # why it stops here is known
                self._ledger.settle()
            raise

    def _go(self, state: State) -> State:
        while state.stage == "reading":
            state = self._read(state)
            self._make_room()
        if state.stage == "clearing":
            state = self._clear(state)
            if state.stage == "reading":
                return self._go(state)
        return self._end(state)

    def _read(self, state: State) -> State:
        since = datetime.fromisoformat(state.since) if state.since is not None else None
        asked = self._connector.first(since) if state.url is None else self._connector.following(state.url)
        page, at = self._ask(asked, state)
        turning.check(page)
        found = self._records.sort(page.records, state.now_on.records + 1)
        read_at = at or self._ctx.services.clock.now()
        others = page.passed_over + len(page.records) - len(found.seen) - found.nameless
        turned = turning.Turned(asked.url, page, read_at, found.incoming, found.nameless, others)
        is_full = self._job.mode == "full"
        after = turning.after(state, turned, is_stable=self._connector.is_stable, is_full=is_full)
        observed = _copied(state.shape)
        for record in page.records[:1]:
            shape.observe(observed, record)
        after = self._until_written(lambda: self._write(state, after, found, observed))
        self._pages.inc()
        return after

    def _make_room(self) -> None:
        """Let others go on in between, and no limit of time run out, however long the source is."""
        if self._ctx.services.clock.monotonic() - self._began >= TURN_S:
            raise GivenBack("The run goes on when it is its turn again.")

    def _ask(self, asked: Asked, state: State) -> tuple[Page, datetime | None]:
        try:
            return self._calls.ask(asked)
        except HostIll as error:
            self._failed(state, error)

    def _failed(self, state: State, error: HostIll) -> NoReturn:
        """Wait for another try of the same page, with full jitter; too many in a row end the job."""
        failures = state.failures + 1
        if failures >= FAILURES_MAX:
            raise JobFailed(
                f"{error.detail} That was try {failures} of the same page.", code=error.code
            ) from error
        self._ctx.log.info("ingestion.page_failed", failures=failures, code=error.code, detail=error.detail)
        self._ledger.settle()
        failed, why = replace(state, failures=failures), {"code": error.code, "detail": error.detail}
        self._ledger.write(lambda scope: logs.note(scope, self._ctx.job_id, figures(failed), error=why), failed)
        ceiling_s = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2**failures)
        raise Defer(random.uniform(0, ceiling_s), "source_ill") from error  # noqa: S311 (no secret)

    def _write(self, before: State, after: State, found: Sorted, observed: Shape) -> State:
        """Write a page and the checkpoint after it, or put it off if it changes nothing; returns that state."""
        ctx, now = self._ctx, self._ctx.services.clock.now()

        def make(one: Incoming) -> Ticket | Refusal:
            shape.observe(observed, one.raw[1])
            return self._records.make(one)

        source_id = self._source.source_id
        synced = plan(
            ctx.scope, source_id=source_id, incoming=found.incoming, make=make, job_id=ctx.job_id, now=now
        )
        gone = self._plan_gone(found.gone, now)
        is_first = before.now_on.number == 1
        refusals = sorted([*found.refusals, *synced.refusals], key=lambda one: one.line) if is_first else []
        refused = refused_documents(refusals[: REFUSED_KEPT_MAX - before.refused_kept], ctx.job_id)
        tally = _tally(synced, gone, len(refusals), is_first=is_first)
        after = replace(
            after,
            tally=before.tally + tally,
            shape=observed,
            refused_kept=before.refused_kept + len(refused),
        )
        keys = found.seen if self._job.mode == "full" else ()
        changes_nothing = not (synced.touched or synced.is_overtaken or gone.touched or refused)
        if changes_nothing and after.stage == "reading" and self._ledger.may_put_off:
            self._ledger.put_off(after, keys)
            return after

        def work(scope: OrgScope) -> None:
            ctx.services.runs.demand_mine(scope, source_id, ctx.job_id)
            synced.write(scope)
            gone.write(scope)
            if refused:
                kept = {"page": after.pages, "expires_at": now + logs.KEPT_FOR}
                scope[REFUSED_ROWS].insert_many({**one, **kept} for one in refused)
            logs.note(scope, ctx.job_id, figures(after))

        self._ledger.write(work, after, keys, rows=len(synced.touched) + len(gone.touched))
        self._folding.after(synced, gone)
        return after

    def _clear(self, state: State) -> State:
        """Delete what no page showed, in steps; or read the pages again, if a record may have moved past us."""
        with Fingerprints() as known:
            count = vanished.load(self._ctx.scope, self._ctx.job_id, known)
            if why := self._kept_because(state, count):
                return replace(state, stage="ending", kept_because=why)
            started_at = datetime.fromisoformat(state.started_at)
            steps = vanished.unseen(
                self._ctx.scope, self._source.source_id, known, after=state.cleared_to, before=started_at
            )
            for key, missing in steps:
                if missing and self._may_have_moved(state):
                    return self._checkpointed(state.read_again)
                if missing:
                    state = self._until_written(self._deletion(state, key, missing))
                self._ctx.stop_if_asked()
        return replace(state, stage="ending")

    def _kept_because(self, state: State, seen_keys: int) -> str | None:
        """Return why a run that has read every page deletes nothing, whatever it did not see."""
        if not self._connector.lists_all:
            return "The source does not list all that it has."
        if seen_keys == 0:
            return "The source showed no records at all."
        if nameless := state.now_on.nameless:
            return f"{nameless} records of the source do not say which they are."
        # Those that came twice do not make up for others.
        total, shown = state.now_on.total, min(state.now_on.records, seen_keys + state.now_on.others)
        if total is not None and total > shown:
            return f"The source says that it has {total} records, and showed {shown}."
        return None

    def _may_have_moved(self, state: State) -> bool:
        return not self._connector.is_stable and state.now_on.pages > 1 and state.now_on.number == 1

    def _deletion(self, state: State, key: str, missing: vanished.Keys) -> Callable[[], State]:
        started_at = datetime.fromisoformat(state.started_at)

        def delete() -> State:
            still = vanished.untouched(self._ctx.scope, self._source.source_id, missing, started_at)
            gone = self._plan_gone(still, self._ctx.services.clock.now())
            tally = Tally(deleted=gone.counts.deleted)
            after = replace(state, tally=state.tally + tally, cleared_to=key)

            def work(scope: OrgScope) -> None:
                self._ctx.services.runs.demand_mine(scope, self._source.source_id, self._ctx.job_id)
                gone.write(scope)
                logs.note(scope, self._ctx.job_id, figures(after))

            self._ledger.write(work, after, rows=len(gone.touched))
            self._folding.after(gone)
            return after

        return delete

    def _end(self, state: State) -> State:
        """Forget what was only for this run, and say once how far it has got."""
        ctx = self._ctx
        if self._job.mode == "full":
            self._checkpointed(state)  # whoever goes on from here asks no more for what was seen
        while self._job.mode == "full" and ctx.write(lambda scope: seen.forget(scope, ctx.job_id)):
            pass
        services, now = ctx.services, ctx.services.clock.now()
        source_id = self._source.source_id
        known = services.runs.state(ctx.scope, source_id)
        changes = [asdict(one) for one in shape.compare(known.shape or {}, state.shape)]
        after = replace(state, stage="ended", shape={}, shape_changes=changes)
        mark = turning.watermark(state.newest, state.now_on.began_at, now) or known.watermark
        left = shape.merged(known.shape or {}, state.shape)

        def work(scope: OrgScope) -> None:
            services.runs.finish(scope, source_id, ctx.job_id, watermark=mark, shape=left)
            logs.end(
                scope,
                ctx.job_id,
                "succeeded",
                now,
                figures(after),
                shape_changes=changes,
                kept_because=after.kept_because,
            )

        with suppress(CancelRequested, GivenBack):  # it has come to its end, and nothing of it can be stopped
            self._ledger.write(work, after)
        return after

    def _plan_gone(self, keys: vanished.Keys, now: datetime) -> Plan:
        kept_for = timedelta(days=self._ctx.services.settings.deleted_tickets_kept_days)
        source_id = self._source.source_id
        return plan_gone(
            self._ctx.scope, source_id=source_id, keys=keys, job_id=self._ctx.job_id, now=now, kept_for=kept_for
        )

    def _until_written(self, attempt: Callable[[], State]) -> State:
        """Plan and write again while others change the same tickets, a bounded number of times."""
        for _ in range(_TRIES):
            try:
                return attempt()
            except Overtaken:
                continue
        raise Unavailable("Others keep changing the same tickets.")

    def _checkpointed(self, state: State) -> State:
        self._ledger.write(lambda _scope: None, state)
        return state


def result(job: IngestTickets, job_id: JobId, state: State) -> IngestionResult:
    """Return what is told of a run that has ended."""
    return IngestionResult(
        source_id=job.source_id,
        mode=job.mode,
        pages=state.pages,
        passes=state.now_on.number,
        **asdict(state.tally),
        kept_because=state.kept_because,
        shape_changes=[dict(one) for one in state.shape_changes],
        refused_records=f"/v1/ingestion-logs/{job_id}/refused-records",
    )


def _tally(synced: Plan, gone: Plan, errors: int, *, is_first: bool) -> Tally:
    """Count a page; of one that is read again only what is different from before."""
    counts = synced.counts
    changed = counts.new + counts.updated + counts.returned
    for outcome in ("new", "updated", "unchanged", "returned"):
        INGESTION_TICKETS.labels(outcome).inc(getattr(counts, outcome))
    found = Tally(new=counts.new, updated=counts.updated, returned=counts.returned, deleted=gone.counts.deleted)
    if not is_first:
        return replace(found, read=changed)
    same = counts.unchanged + counts.repeated
    return replace(
        found,
        read=changed + same + errors,
        unchanged=counts.unchanged,
        repeated=counts.repeated,
        errors=errors,
    )


def _copied(known: Shape) -> Shape:
    return {name: {"types": [*one["types"]], "always": one["always"]} for name, one in known.items()}
