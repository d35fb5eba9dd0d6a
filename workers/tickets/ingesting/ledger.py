"""How far a run is, written down: with whatever a page changes; after pages that change nothing, now and then."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from common.coordination.lock import Lease
from common.sources import logs
from common.tenancy.scope import OrgScope
from common.tickets import seen
from common.tickets.sync import Overtaken
from workers.context import Context
from workers.tickets.ingesting.state import State

WRITTEN_EVERY_S = 0.5
"""How long pages that change nothing are put off; whoever goes on after a death reads them again."""


class Ledger:
    """The writes of one run: each is a transaction behind the fences of the job and of the source's lock."""

    def __init__(self, ctx: Context, lease: Lease) -> None:
        self._ctx = ctx
        self._lease = lease
        self._put_off: State | None = None
        self._seen: list[str] = []
        self._written_at = ctx.services.clock.monotonic()

    @property
    def may_put_off(self) -> bool:
        """Tell whether the last write is not long ago."""
        return self._ctx.services.clock.monotonic() - self._written_at < WRITTEN_EVERY_S

    def put_off(self, after: State, keys: Sequence[str]) -> None:
        """Keep for the next write that a run stands at *after*, having seen *keys* and changed nothing.

        Raises whatever `Context.progress` raises.
        """
        self._put_off = after
        self._seen.extend(keys)
        self._ctx.progress(*_progress(after))

    def write(
        self, work: Callable[[OrgScope], None], after: State, keys: Sequence[str] = (), *, rows: int = 0
    ) -> None:
        """Make *work*'s writes, *rows* tickets, and keep that the run stands at *after*, having seen *keys*.

        Raises whatever `Context.write` raises, and `Overtaken` as *work* does: then it may be tried again.
        """
        services, job_id = self._ctx.services, self._ctx.job_id
        seen_keys = [*self._seen, *keys]

        def whole(scope: OrgScope) -> None:
            work(scope)
            seen.note(scope, job_id, seen_keys, services.clock.now())

        # Whatever comes of this, an older state may not be written after it.
        put_off, self._put_off = self._put_off, None
        done, total, stage = _progress(after)
        try:
            self._ctx.write(
                whole,
                under=self._lease,
                checkpoint=after.checkpoint(),
                done=done,
                total=total,
                stage=stage,
                rows=rows,
            )
        except Overtaken:
            self._put_off = put_off
            raise
        self._seen.clear()
        self._written_at = services.clock.monotonic()

    def settle(self) -> None:
        """Write what was put off, so that none of it is read again. Raises whatever `write` raises."""
        if (state := self._put_off) is not None:
            self.write(lambda scope: logs.note(scope, self._ctx.job_id, figures(state)), state)


def figures(state: State) -> dict[str, int]:
    """Return what the log tells of a run that stands there."""
    counts = asdict(state.tally)
    del counts["read"]
    return {**counts, "pages": state.pages, "waits": state.waits}


def _progress(after: State) -> tuple[int, int | None, str]:
    """Return what is shown of a run: how many records are done, of how many, and its stage."""
    number, done = after.now_on.number, after.tally.read
    total = after.now_on.total if number == 1 else None
    return (
        done,
        total if total is not None and total >= done else None,
        after.stage if number == 1 else f"{after.stage}, pass {number}",
    )
