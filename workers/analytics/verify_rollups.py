"""How what is kept of the counts is verified: octet by octet, each step in a transaction with the checkpoint.

An octet is its days, held against their tickets, and then the sum of them. Once the last octet of 64 days is done,
their sum is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

from common.analytics.verify_rollups import VerifyRollups
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.folding import fold_all
from common.tickets.counting.verifying import Step, Verified, last_step, octets, steps_of
from workers.context import Context
from workers.runner import handles

TOLD_MOST = 100


@dataclass(frozen=True)
class VerifiedRollups:
    """How many tickets were counted, how many counts were kept otherwise, and the first hundred of those."""

    tickets: int
    drifts: int
    repaired: int
    drifted: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _State:
    """Which octet was done last, how many steps of the next one, and what was found."""

    after: int | None = None
    steps: int = 0
    tickets: int = 0
    drifts: int = 0
    drifted: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def found(self, one: Verified) -> "_State":
        told = [asdict(drift) for drift in one.drifts[: max(0, TOLD_MOST - len(self.drifted))]]
        return replace(
            self,
            steps=self.steps + 1,
            tickets=self.tickets + one.tickets,
            drifts=self.drifts + len(one.drifts),
            drifted=[*self.drifted, *told],
        )


@handles(VerifyRollups)
def verify_rollups(ctx: Context, job: VerifyRollups) -> VerifiedRollups:
    """Hold all of it against the tickets; with `repair` set right what differs."""
    state = _State(**(ctx.resume() or {}))
    fold_all(ctx.services.scope(ctx.org_id))
    total = ctx.scope[TICKETS].count_documents(dict(LIVE))
    for octet in octets(ctx.scope, state.after):
        for step in islice(steps_of(ctx.scope, octet, state.after, repair=job.repair), state.steps, None):
            state = _write(ctx, step, state, total)
        state = replace(state, after=octet, steps=0)
        ctx.checkpoint(asdict(state), state.tickets, max(total, state.tickets), "counting")
    if state.after is not None and state.steps == 0:
        state = _write(ctx, last_step(state.after, repair=job.repair), state, total)
    repaired = state.drifts if job.repair else 0
    return VerifiedRollups(state.tickets, state.drifts, repaired, state.drifted)


def _write(ctx: Context, step: Step, state: _State, total: int) -> _State:
    found = ctx.write(step, checkpoint=lambda found: asdict(state.found(found)))
    after = state.found(found)
    ctx.progress(after.tickets, max(total, after.tickets), "counting")
    return after
