"""How a file of tickets is imported: counted, then read row by row and written in fenced batches.

checkpoint   none         →  {form, total, counts: 0}  →  after each batch  →  rows = total
file         needed                                                            may go

Each batch moves tickets, refused rows and checkpoint in one transaction, so that wherever a run dies, the next
passes over exactly the rows that are done.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from common.errors import JobFailed, NotFound, Unavailable
from common.tenancy.scope import OrgScope
from common.tickets import tombstones
from common.tickets.batches import decide, in_batches, refused_documents
from common.tickets.collections import REFUSED_ROWS
from common.tickets.columns import Columns
from common.tickets.counts import REFUSED_KEPT_MAX, Counts, ImportResult, ImportState, result
from common.tickets.fingerprints import Fingerprints, fingerprint
from common.tickets.import_file import ImportFile
from common.tickets.reading.rows import Refusal
from common.tickets.reading.source import Form, detect_form, read_header, read_rows
from common.tickets.sync import Overtaken, Plan, look_up, plan_rows
from common.tickets.ticket import DEFAULT_SOURCE, Ticket
from workers.context import Context
from workers.runner import handles
from workers.tickets.folding import Folding

_LOOK_UP_ROWS = 10_000
_TRIES = 20


@handles(ImportFile)
def import_file(ctx: Context, job: ImportFile) -> ImportResult:
    """Import the tickets of one file, every row once, wherever an earlier run of the job was cut off.

    Raises `JobFailed` if the file is gone, is no text, or has no column for the message.
    """
    checkpoint = ctx.resume()
    state = ImportState.restored(checkpoint) if checkpoint else None
    if state is None or not state.is_read:
        with _open(ctx, job) as file:
            columns = Columns(job.mapping)
            state = _read(ctx, job, file, columns, state or _count(ctx, job, file, columns))
    ctx.blobs.delete(job.blob_id)
    return result(ctx.job_id, state.counts)


def _open(ctx: Context, job: ImportFile) -> BinaryIO:
    try:
        return ctx.blobs.open(job.blob_id)
    except NotFound as error:
        raise JobFailed("The file is no longer stored; upload it again.", code="file-gone") from error


def _count(ctx: Context, job: ImportFile, file: BinaryIO, columns: Columns) -> ImportState:
    """Look through the whole file once, so that progress has a true total and nothing is begun on a broken one."""
    form = detect_form(file, job.format)
    header = read_header(file, form)
    if header is not None:
        columns.demand(header)
    state = ImportState(form, _total(ctx, file, form))
    ctx.checkpoint(state.checkpoint(), 0, state.total, "reading")
    return state


def _total(ctx: Context, file: BinaryIO, form: Form) -> int:
    total = 0
    with closing(read_rows(file, form)) as rows:
        for total, _ in enumerate(rows, start=1):
            if total % _LOOK_UP_ROWS == 0:
                ctx.progress(0, None, "counting")
    return total


def _read(ctx: Context, job: ImportFile, file: BinaryIO, columns: Columns, state: ImportState) -> ImportState:
    """Do the rows that are not done, a batch at a time."""
    with closing(read_rows(file, state.form)) as found, Fingerprints() as seen, Folding(ctx) as folding:
        rows = (row if isinstance(row, Refusal) else columns.check(row) for row in found)
        _pass_over(ctx, rows, seen, state)
        writer = _Writer(ctx, job.source or DEFAULT_SOURCE, seen, folding)
        for batch in in_batches(rows):
            state = writer.write(batch, state)
    if not state.is_read:
        raise JobFailed(
            f"The file had {state.total} rows when it was counted and {state.counts.rows} when it was read.",
            code="file-changed",
        )
    return state


def _pass_over(ctx: Context, rows: Iterator[Ticket | Refusal], seen: Fingerprints, state: ImportState) -> None:
    """Pass over the rows that earlier runs did; what they showed counts when a later row repeats it."""
    for batch in in_batches(islice(rows, state.counts.rows)):
        seen.add(fingerprint(row) for row in batch if isinstance(row, Ticket))
        ctx.progress(state.counts.rows, state.total, "resuming")


@dataclass(frozen=True)
class _Writer:
    """Writes batches of one import."""

    ctx: Context
    source_id: str
    seen: Fingerprints
    folding: Folding

    def write(self, batch: list[Ticket | Refusal], state: ImportState) -> ImportState:
        """Write *batch* and the checkpoint after it; returns the state that this is.

        Others may change the same tickets meanwhile: then everything is read again, a bounded number of times.
        """
        tickets = [row for row in batch if isinstance(row, Ticket)]
        refusals = [row for row in batch if isinstance(row, Refusal)]
        for _ in range(_TRIES):
            try:
                state_after = self._try(tickets, refusals, state)
            except Overtaken:
                continue
            self.seen.add(map(fingerprint, tickets))
            return state_after
        raise Unavailable("Other imports keep changing the same tickets.")

    def _try(self, tickets: list[Ticket], refusals: list[Refusal], state: ImportState) -> ImportState:
        counts, plan = self._plan(tickets)
        refused = refused_documents(refusals[: REFUSED_KEPT_MAX - state.counts.refused_kept], self.ctx.job_id)
        counts += Counts(rows=len(refusals), refused=len(refusals), refused_kept=len(refused))
        after = replace(state, counts=state.counts + counts)

        def write(scope: OrgScope) -> None:
            plan.write(scope)
            if refused:
                scope[REFUSED_ROWS].insert_many(refused)

        self.ctx.write(
            write,
            checkpoint=after.checkpoint(),
            done=after.counts.rows,
            total=after.total,
            stage="reading",
            rows=len(plan.touched),
        )
        self.folding.after(plan)
        return after

    def _plan(self, tickets: list[Ticket]) -> tuple[Counts, Plan]:
        """Return what became of *tickets* one after the other, and what that comes to."""
        scope, keys = self.ctx.scope, {ticket.natural_key for ticket in tickets}
        known = look_up(scope, self.source_id, keys)
        stones = tombstones.find(scope, self.source_id, keys - known.keys())
        gone = {key for key, stone in stones.items() if stone.is_by_hand}
        there = [ticket for ticket in tickets if ticket.natural_key not in gone]
        seen = self.seen.among(fingerprint(ticket) for ticket in there if ticket.natural_key in known)
        decision = decide(there, known, seen)
        plan = plan_rows(
            scope,
            decision.rows,
            known,
            stones,
            source_id=self.source_id,
            job_id=self.ctx.job_id,
            now=self.ctx.services.clock.now(),
        )
        left_out = len(tickets) - len(there)
        return decision.counts + Counts(rows=left_out, unchanged=left_out), plan
