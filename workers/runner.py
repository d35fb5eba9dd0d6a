"""Running one job: the handler of its kind, and what its end means for the record."""

import importlib
import pkgutil
import random
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from types import FrameType
from typing import Any, Literal, TypeVar

import orjson
import structlog
from pymongo.errors import PyMongoError

import workers
from common import tracing
from common.errors import (
    CancelRequested,
    Defer,
    FairwayError,
    GivenBack,
    HeldBack,
    JobFailed,
    LeaseLost,
    NotFound,
    StorageUnavailable,
    TimeLimitExceeded,
    WaitForChildren,
)
from common.ids import PLATFORM, OrgId
from common.jobs.kind import KINDS, Job, Terms, decode
from common.jobs.leases import Claimed
from common.jobs.record import RESULT_MAX_BYTES
from common.logs import get_logger
from workers.context import Context

J = TypeVar("J", bound=Job)
Handler = Callable[[Context, Any], Any]
HANDLERS: dict[type[Job], Handler] = {}

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 300.0
UNKNOWN_KIND_WAITS_S = 15.0

log = get_logger()

Ending = Literal["succeeded", "failed", "retry", "deferred", "waits", "cancelled", "given_back", "held", "lost"]


@dataclass(frozen=True)
class Outcome:
    """How a run of a handler ended; *delay_s* and *reason* are for one that waits, *code* for one that failed."""

    ending: Ending
    result: Any = None
    result_bytes: int = 0
    code: str = ""
    detail: str = ""
    delay_s: float = 0.0
    reason: str = ""
    charged: bool = False


def handles(kind: type[J]) -> Callable[[Callable[[Context, J], Any]], Callable[[Context, J], Any]]:
    """Make the decorated function the one handler of *kind*. Raises `TypeError` if the kind has one already."""

    def register(handler: Callable[[Context, J], Any]) -> Callable[[Context, J], Any]:
        known = HANDLERS.get(kind)
        if known is not None and known.__qualname__ != handler.__qualname__:
            raise TypeError(f"{kind.name} has two handlers: {known} and {handler}.")
        HANDLERS[kind] = handler
        return handler

    return register


def discover() -> None:
    """Import every family's handlers."""
    for family in pkgutil.iter_modules(workers.__path__, "workers."):
        if family.ispkg:
            package = importlib.import_module(family.name)
            for module in pkgutil.iter_modules(package.__path__, f"{family.name}."):
                importlib.import_module(module.name)


def run(claimed: Claimed, ctx: Context) -> Outcome:
    """Run the handler of *claimed* to an outcome; never raises, whatever the handler or the payload does.

    The organization and the request are on every line that the handler logs, and gone afterwards.
    """
    seen = {"org_id": claimed.org_id, "job_id": claimed.job_id, "request_id": claimed.request_id}
    traced = {"trace_id": tracing.trace_id(claimed.traceparent)} if claimed.traceparent is not None else {}
    with (
        structlog.contextvars.bound_contextvars(kind=claimed.kind, **seen, **traced),
        tracing.span(claimed.kind, claimed.traceparent, **seen),
    ):
        try:
            return _run(claimed, ctx)
        except FairwayError as error:
            return _of_our_error(claimed, error)
        except PyMongoError as error:
            log.warning("job.without_database", error=type(error).__name__, attempt=claimed.attempt + 1)
            return _failed_attempt(claimed, "database-unavailable", "The database did not answer in time.")
        except Exception as error:  # noqa: BLE001 (a handler may raise anything; nothing of it may stop the worker)
            log.error("job.raised", error=type(error).__name__, attempt=claimed.attempt + 1, trace=_trace(error))
            return _failed_attempt(claimed, "unexpected-error", f"The handler raised {type(error).__name__}.")


def _run(claimed: Claimed, ctx: Context) -> Outcome:
    kind = KINDS.get(claimed.kind)
    handler = HANDLERS.get(kind) if kind else None
    if kind is None or handler is None:
        # A roll may be under way, and a newer worker knows it: hold, don't fail.
        return Outcome("deferred", delay_s=UNKNOWN_KIND_WAITS_S, reason="kind_unknown_here")
    if not claimed.org_id:
        raise JobFailed("The job names no organization.", code="no-organization")
    if _is_deleted(claimed.org_id, ctx):
        return Outcome("held")
    job = decode(kind, claimed.payload)
    with _soft_limit(kind.terms, ctx):
        return _succeeded(handler(ctx, job))


def _is_deleted(org_id: OrgId, ctx: Context) -> bool:
    """Tell whether the organization was deleted, so that none of its jobs is to begin; remembered for seconds."""
    if org_id == PLATFORM:
        return False
    try:
        return not ctx.services.registry.get(org_id).is_active
    except NotFound:  # it is on its way: this job makes it
        return False


def _succeeded(result: Any) -> Outcome:
    plain = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    try:
        size_bytes = len(orjson.dumps(plain))
    except TypeError as error:
        raise JobFailed(f"The result is not plain JSON: {error}.", code="result-unwritable") from error
    if size_bytes > RESULT_MAX_BYTES:
        raise JobFailed(
            f"The result has {size_bytes} bytes; a job may return {RESULT_MAX_BYTES}.", code="result-too-large"
        )
    return Outcome("succeeded", result=plain, result_bytes=size_bytes)


def _of_our_error(claimed: Claimed, error: FairwayError) -> Outcome:
    match error:
        case (
            Defer(seconds=wait_s, reason=reason)
            | HeldBack(retry_after_s=wait_s, reason=reason)
            | StorageUnavailable(asked_again_s=wait_s, reason=reason)
        ):
            return Outcome("deferred", delay_s=wait_s, reason=reason)
        case WaitForChildren():
            return Outcome("waits", reason="children")
        case CancelRequested():
            return Outcome("cancelled")
        case GivenBack():
            return Outcome("given_back")
        case LeaseLost():
            return Outcome("lost")
        case JobFailed():
            return Outcome("failed", code=error.shown_code, detail=error.detail, charged=True)
        case _ if error.retryable:
            return _failed_attempt(claimed, error.code, error.detail)
        case _:
            return Outcome("failed", code=error.code, detail=error.detail, charged=True)


def _failed_attempt(claimed: Claimed, code: str, detail: str) -> Outcome:
    attempt = claimed.attempt + 1
    if attempt >= claimed.max_attempts:
        return Outcome("failed", code=code, detail=detail, charged=True)
    # Full jitter: the whole range is drawn from, so that failures of one cause don't come back as a herd.
    ceiling_s = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2 ** (attempt - 1))
    delay_s = random.uniform(0, ceiling_s)  # noqa: S311 (no secret)
    return Outcome("retry", code=code, detail=detail, delay_s=delay_s, reason="retry", charged=True)


@contextmanager
def _soft_limit(terms: Terms, ctx: Context) -> Iterator[None]:
    """Raise `TimeLimitExceeded` in the handler when its soft limit is over, so that it can clean up."""

    def over(_number: int, _frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"The job ran longer than {terms.soft_time_limit_s:g} s.")

    if not ctx.may_interrupt:
        yield
        return
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, terms.soft_time_limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-8000:]
