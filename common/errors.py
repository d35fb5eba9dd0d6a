"""The one tree of errors; each carries its facts as fields and a sentence that a caller may read.

FairwayError
├── Refused                 the caller's to mend; web turns it into a problem document
│   ├── NotParseable 400    ├── Unauthenticated 401   ├── Forbidden 403
│   ├── NotFound 404        ├── NotAcceptable 406     ├── Conflict 409
│   ├── TooLarge 413        ├── WrongMediaType 415    ├── Invalid 422
│   └── TooMany 429
├── Unavailable 503         a server does not answer; trying again may help
│   └── StorageUnavailable  the store of files fails or is full
├── HeldBack                shared by many and not to be had now; a job waits for it without holding a worker
│   ├── RateLimited         every permit is given or booked
│   ├── ToldToWait          the outside host asked for it (429, Retry-After)
│   ├── LockHeld            somebody else holds the lock
│   ├── SourceAsksToWait    a source's answer is that it wants to be asked later; not yet held against its host
│   └── CircuitOpen         the outside host is ill, and nobody calls it for a while
├── HostIll                 an outside host can't be reached or does not answer as it should; its breaker counts it
│   └── SourceIll           it answers, but with no page of records
├── AddressRefused          a call that may not be made: it leads inside, or nobody can tell where
├── AnswerRefused           what an outside host answers is more, or other, than we take
├── SourceRefused           the API of a source does not answer what it is asked, and won't
│   ├── CredentialsRefused  not with these credentials
│   └── SourceGone          there is no such thing there
├── Unusable                a record of a source that can't become a ticket
├── CostAboveLimit          a call that no wait could let pass: a mistake of ours
├── JobFailed               a handler's own verdict: trying again can't help
├── Misconfigured           this process can't do its work as it is set up
└── Interruption            a handler is asked to stop; not a failure
    ├── LeaseLost           somebody else has the job: write nothing more
    ├── CancelRequested     the caller asked for it
    ├── GivenBack           the worker shuts down; the job goes back to its lane
    ├── TimeLimitExceeded   the soft limit of time is over (this one does count as a failed attempt)
    ├── LockLost            the lock that the work stands on has another holder (counts as a failed attempt)
    ├── WaitForChildren     wait, without holding a worker, until the job's children have ended
    └── Defer               wait so long without holding a worker
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class FairwayError(Exception):
    """An error of ours. *retryable* says whether doing the same again may succeed."""

    retryable: ClassVar[bool] = False
    code: ClassVar[str] = "internal"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Refused(FairwayError):
    """What was asked is refused; *code* is the stable end of the problem's type."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request was refused"

    def __init__(self, detail: str, *, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.extra: Mapping[str, Any] = extra or {}


class NotParseable(Refused):
    """The body or a parameter is not the text it claims to be."""

    status, code, title = 400, "not-parseable", "The request can't be parsed"


class Unauthenticated(Refused):
    """No credentials, or none that hold."""

    status, code, title = 401, "unauthenticated", "Sign in first"


class Forbidden(Refused):
    """Known, but not allowed to do this."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(Refused):
    """Absent or another organization's; the two are never told apart."""

    status, code, title = 404, "not-found", "Not found"


class NotAcceptable(Refused):
    """The caller accepts no form that we can answer in."""

    status, code, title = 406, "not-acceptable", "No acceptable representation"


class Conflict(Refused):
    """At odds with the current state."""

    status, code, title = 409, "conflict", "Conflict with the current state"


class TooLarge(Refused):
    """More than is taken; *limit* says how much is."""

    status, code, title = 413, "too-large", "Too large"


class WrongMediaType(Refused):
    """A body in a form that this operation does not read."""

    status, code, title = 415, "wrong-media-type", "Wrong media type"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input. *where* is a JSON pointer, or the name of a parameter or header."""

    detail: str
    where: str
    kind: str = "pointer"


class Invalid(Refused):
    """Parsed, but not valid; *faults* names each field."""

    status, code, title = 422, "invalid", "The request is not valid"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)


class Stale(Refused):
    """A change that was made for an earlier state of the thing."""

    status, code, title = 412, "precondition-failed", "It has changed meanwhile"


class PreconditionRequired(Refused):
    """A change that has to say for which state of the thing it is made."""

    status, code, title = 428, "precondition-required", "Say which version you mean"


class TooMany(Refused):
    """Over a limit; may be tried again after *retry_after_s* seconds."""

    status, code, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(FairwayError):
    """A server that is needed does not answer; what it was asked for may be done or not."""

    retryable = True
    status: ClassVar[int] = 503
    code = "unavailable"
    title: ClassVar[str] = "A needed server does not answer"

    def __init__(self, detail: str, *, retry_after_s: int = 2) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class StorageUnavailable(Unavailable):
    """The store of files does not answer, fails or is full; nothing was kept. A job waits for it, uncharged."""

    reason: ClassVar[str] = "storage"
    asked_again_s: ClassVar[float] = 10.0


class HeldBack(FairwayError):
    """Something shared is not to be had for *retry_after_s* seconds; a job that waits for it shows *reason*."""

    retryable = True
    reason: ClassVar[str] = "held_back"

    def __init__(self, detail: str, *, retry_after_s: float) -> None:
        super().__init__(detail)
        self.retry_after_s = max(0.0, retry_after_s)


class RateLimited(HeldBack):
    """Every permit is given or booked."""

    code = "rate-limited"
    reason = "rate_limit"


class ToldToWait(HeldBack):
    """The outside host asked to be left alone for so long."""

    code = "told-to-wait"
    reason = "retry_after"


class SourceAsksToWait(HeldBack):
    """A source's answer was to ask again later. Whoever made the call holds back its credential on that host."""

    code = "source-asks-to-wait"
    reason = "retry_after"


class LockHeld(HeldBack):
    """Somebody else holds the lock; *retry_after_s* is the rest of its time, which it may extend."""

    code = "lock-held"
    reason = "lock"


class CircuitOpen(HeldBack):
    """Calls to an ill host fail at once until it may be tried again."""

    code = "circuit-open"
    reason = "circuit_open"


class HostIll(FairwayError, ConnectionError):
    """An outside host gave no answer, was cut off or too slow, or failed (5xx)."""

    retryable = True
    code = "host-ill"


class AddressRefused(FairwayError):
    """A call to the outside that may not be made; nothing was sent."""

    code = "address-refused"


class AnswerRefused(FairwayError):
    """An outside host's answer is not taken: it is too large, leads elsewhere, or would unpack without end."""

    code = "answer-refused"


class SourceIll(HostIll):
    """A source answered, but with no page of records: a 5xx, HTML, no JSON, or another shape."""

    code = "source-ill"


class SourceRefused(FairwayError):
    """A source's API refuses the call; the same call will be refused again."""

    code = "source-refused"


class CredentialsRefused(SourceRefused):
    """A source's API does not take these credentials, or not for this."""

    code = "credentials-refused"


class SourceGone(SourceRefused):
    """A source's API has nothing under this address."""

    code = "source-gone"


class Unusable(FairwayError):
    """A record that can't become a ticket: its *field* is not what it needs to be, and *why*."""

    code = "record-unusable"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}.")
        self.field = field
        self.why = why


class CostAboveLimit(FairwayError):
    """More permits in one call than its limits ever give; waiting would not help."""

    code = "cost-above-limit"


class JobFailed(FairwayError):
    """A handler's verdict that its job can't succeed; *code* is shown in the job's error."""

    def __init__(self, detail: str, *, code: str = "job-failed") -> None:
        super().__init__(detail)
        self.shown_code = code


class Misconfigured(FairwayError):
    """This process refuses to start; the sentence says what to change."""

    code = "misconfigured"


class Interruption(FairwayError):
    """A handler is to stop where it is; its checkpoint is kept."""

    code = "interrupted"


class LeaseLost(Interruption):
    """The job belongs to somebody else now; whatever is written under this lease is refused."""


class CancelRequested(Interruption):
    """Somebody asked for the job to be cancelled."""


class GivenBack(Interruption):
    """The worker is shutting down; the job goes on elsewhere, no attempt is charged."""


class TimeLimitExceeded(Interruption):
    """The kind's soft limit of time is over."""

    retryable = True
    code = "time-limit"


class LockLost(Interruption):
    """The lock is somebody else's, or nobody's; *name* is empty where the loss came into the work from outside."""

    retryable = True
    code = "lock-lost"

    def __init__(self, name: str = "") -> None:
        super().__init__(f"The lock {name} was lost." if name else "A lock was lost.")
        self.name = name


class WaitForChildren(Interruption):
    """Wait until every child of this job has ended, holding no worker and charging no attempt."""

    def __init__(self) -> None:
        super().__init__("Waits for its children.")


class Defer(Interruption):
    """Wait *seconds* and run again, holding no worker and charging no attempt; *reason* is shown."""

    def __init__(self, seconds: float, reason: str = "deferred") -> None:
        super().__init__(f"Waits {seconds:g} s: {reason}.")
        self.seconds = max(0.0, seconds)
        self.reason = reason
