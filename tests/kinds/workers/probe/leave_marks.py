"""The probe's handler: every effect goes to MongoDB behind the fence, and to a witness file outside the system."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from common.probe.leave_marks import LeaveMarks, LeaveRareMarks
from common.probe.marks import MARKS

from common.errors import Defer, FairwayError, JobFailed
from common.ids import new_id
from common.tenancy.scope import OrgScope
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Marked:
    """How many marks this job has left."""

    marks: int
    note: str


class Transient(FairwayError):
    """A failure that may pass."""

    retryable = True
    code = "transient"


@handles(LeaveMarks)
def leave_marks(ctx: Context, job: LeaveMarks) -> Marked:
    state = ctx.resume() or {"next": 0}
    witness("start", ctx)
    for step in range(state["next"], job.steps):
        time.sleep(job.pause_s)
        if step == job.at and ctx.claim <= job.times:
            trouble(job)
        ctx.write(
            lambda scope, step=step: mark(scope, ctx, step),
            checkpoint={"next": step + 1},
            done=step + 1,
            total=job.steps,
        )
        witness(f"mark {step}", ctx)
    return Marked(job.steps, job.note)


@handles(LeaveRareMarks)
def leave_rare_marks(ctx: Context, job: LeaveRareMarks) -> Marked:
    return leave_marks(ctx, LeaveMarks(steps=job.steps, pause_s=job.pause_s))


def mark(scope: OrgScope, ctx: Context, step: int) -> None:
    scope[MARKS].insert_one(
        # A fresh id, so that a repetition would not collide but show as a second one.
        {"_id": new_id(), "job_id": ctx.job_id, "step": step, "claim": ctx.claim}
    )


def trouble(job: LeaveMarks) -> None:
    match job.trouble:
        case "raise":
            raise ValueError("a handler may raise anything")
        case "transient":
            raise Transient("This may pass.")
        case "fail":
            raise JobFailed("It can't be done.", code="cannot")
        case "defer":
            raise Defer(job.defer_s, "a test")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "spin":
            spin(job.spin_s)


def spin(seconds: float) -> None:
    """Stay in one call of C code that keeps the interpreter's lock, for about *seconds*."""
    modulus, started = (1 << 8_000) - 3, time.monotonic()
    pow(3, (1 << 400) - 1, modulus)
    bits_per_s = 400 / (time.monotonic() - started)
    pow(3, (1 << int(bits_per_s * seconds)) - 1, modulus)


def witness(what: str, ctx: Context) -> None:
    """Append one line outside the system; O_APPEND keeps lines of many processes whole."""
    path = os.environ.get("PROBE_WITNESS")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic():.4f} {ctx.job_id} {ctx.claim} {what}\n")
