"""How a source is ingested: page by page, each with its permit, and written with the checkpoint after it.

A page's tickets, their history, what a full run has seen, the run's log and the address of the next page move in
one transaction behind the fences of the job and of the source's lock: wherever a run dies, the next goes on with
the page that was not written. Whatever has to be waited for is raised, and holds no worker.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Literal

from common.clock import rfc3339
from common.connectors.connector import Connector, Endpoint
from common.connectors.known import CONNECTORS
from common.coordination.lock import Lease
from common.errors import (
    AddressRefused,
    AnswerRefused,
    CancelRequested,
    Defer,
    FairwayError,
    HeldBack,
    JobFailed,
    NotFound,
    SourceRefused,
)
from common.metrics import INGESTION_RUNS, INGESTION_WAITS
from common.sources import logs
from common.sources.source import Source
from common.sources.turns import find_turn
from common.tenancy.scope import OrgScope
from common.tickets import seen
from common.tickets.collections import REFUSED_ROWS
from common.tickets.ingest import IngestTickets
from workers.context import Context
from workers.runner import handles
from workers.tickets.folding import Folding
from workers.tickets.ingesting import turning
from workers.tickets.ingesting.calling import Origin
from workers.tickets.ingesting.run import OVERLAP, IngestionResult, Run, result
from workers.tickets.ingesting.state import State

_NONE = -1
"""The generation of no source."""


@handles(IngestTickets)
def ingest(ctx: Context, job: IngestTickets) -> IngestionResult:
    """Bring in the tickets of one source, wherever an earlier run of the job was cut off.

    Raises `JobFailed` if the source is gone, refuses us, does not answer however often it is asked, or would go on
    for ever.
    """
    source = _source(ctx, job)
    # No longer than the job's own lease: who goes on with it after a death waits for nothing else.
    with ctx.lock(f"source:{source.source_id}", ctx.services.settings.lease_s) as lease:
        try:
            return _under_lock(ctx, job, source, lease)
        except (SourceRefused, AnswerRefused, AddressRefused) as error:
            _end(ctx, source, "failed", error)
            raise JobFailed(error.detail, code=error.code) from error
        except NotFound as error:
            raise _deleted() from error
        except JobFailed as error:
            _end(ctx, source, "failed", error)
            raise
        except CancelRequested:
            _end(ctx, source, "cancelled", None)
            raise
        except (HeldBack, Defer) as wait:
            INGESTION_WAITS.labels(wait.reason).inc()
            raise


def _under_lock(ctx: Context, job: IngestTickets, source: Source, lease: Lease) -> IngestionResult:
    checkpoint = ctx.resume()
    state = State.restored(checkpoint) if checkpoint is not None else None
    if state is None or state.stage != "ended":
        left = state if state is not None and not _goes_on(ctx, source, state) else None
        _begin(ctx, job, lease, left)
        if left is not None:
            _forget(ctx)
            state = None
        of = Origin(source, _connector(source, state.page_size if state is not None else source.page_size))
        if state is None:
            state = _first(ctx, job, of)
        with Folding(ctx) as folding:
            run = Run(ctx, job, of, lease, folding)
            state = run.go(replace(state.tried_anew(ctx.claimed.run), waits=ctx.claim - 1))
        INGESTION_RUNS.labels(source.connector, "succeeded").inc()
    return result(job, ctx.job_id, state)


def _goes_on(ctx: Context, source: Source, state: State) -> bool:
    """Tell whether a run goes on where it was: not at another address, nor after another run has had its turn.

    A record that was away when this one looked may have been brought back by that one. Retried with pages of
    another size, it begins anew as well: the one that was too large must not come again.
    """
    is_retried = state.run != ctx.claimed.run
    has_its_turn = find_turn(ctx.scope, source.source_id).job_id == ctx.job_id
    same_pages = state.page_size == source.page_size or not is_retried
    return state.generation == source.generation and has_its_turn and same_pages


def _begin(ctx: Context, job: IngestTickets, lease: Lease, left: State | None) -> None:
    """Take the source's turn, also again after a retry, and open the run's log.

    What is *left* from before counts no more from here on, also if this dies before it has a page.
    """
    now = ctx.services.clock.now()

    def work(scope: OrgScope) -> None:
        ctx.services.runs.demand_mine(scope, job.source_id, ctx.job_id)
        logs.begin(scope, ctx.job_id, job.source_id, job.mode, now)

    ctx.write(
        work, under=lease, checkpoint=replace(left, generation=_NONE).checkpoint() if left is not None else None
    )


def _forget(ctx: Context) -> None:
    """Forget what a run that begins anew has seen and set aside before."""
    while ctx.write(lambda scope: seen.forget(scope, ctx.job_id)):
        pass
    ctx.write(lambda scope: scope[REFUSED_ROWS].delete_many({"job_id": ctx.job_id}))


def _first(ctx: Context, job: IngestTickets, of: Origin) -> State:
    """Return where a run begins: from when on is asked."""
    known = ctx.services.runs.state(ctx.scope, of.source.source_id)
    mark = known.watermark if job.mode == "incremental" and of.connector.has_since else None
    since = turning.since(mark, OVERLAP)
    return State(
        started_at=rfc3339(ctx.services.clock.now()),
        since=rfc3339(since) if since is not None else None,
        url=None,
        generation=of.source.generation,
        page_size=of.source.page_size,
    )


def _source(ctx: Context, job: IngestTickets) -> Source:
    try:
        return ctx.services.sources.get(ctx.org_id, job.source_id)
    except NotFound as error:
        raise _deleted() from error


def _deleted() -> JobFailed:
    return JobFailed("The source was deleted.", code="source-deleted")


def _connector(source: Source, page_size: int) -> Connector:
    made = CONNECTORS.get(source.connector)
    if made is None:
        raise JobFailed(f"This version has no connector {source.connector}.", code="connector-unknown")
    return made(Endpoint(source.base_url, page_size, source.config))


def _end(ctx: Context, source: Source, status: Literal["failed", "cancelled"], error: FairwayError | None) -> None:
    """Write down how the run ended; where that can't be done, its job says so."""
    INGESTION_RUNS.labels(source.connector, status).inc()
    problem = None
    if error is not None:
        problem = {"code": getattr(error, "shown_code", error.code), "detail": error.detail}
    now = ctx.services.clock.now()
    with suppress(FairwayError):
        ctx.write(lambda scope: logs.end(scope, ctx.job_id, status, now, error=problem))
