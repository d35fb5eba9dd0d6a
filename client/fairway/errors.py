"""What can go wrong, as one tree.

FairwayError
├── Problem      the API refused, and said why
├── Unreachable  the API did not answer, or is overloaded, for as long as we tried
├── NotInTime    a job has not ended yet
├── NotSent      a file can't be sent as it is
└── NotWhole     what came of a file is not what is stored
"""

from collections.abc import Mapping, Sequence
from typing import Any


class FairwayError(Exception):
    """An error of this client; its text is a sentence that a person may read."""


class Problem(FairwayError):
    """The API refused (RFC 9457); *retry_after_s* is set where trying later may help."""

    def __init__(self, status: int, document: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.type: str = document.get("type", "about:blank")
        self.title: str = document.get("title", "The request was refused")
        self.detail: str = document.get("detail", "")
        self.request_id: str = document.get("request_id", "")
        self.errors: Sequence[Mapping[str, str]] = document.get("errors", ())
        self.document = document
        self.retry_after_s = retry_after_s
        faults = "".join(f"\n  {_where(one)}: {one.get('detail', '')}" for one in self.errors)
        super().__init__(f"{self.title}: {self.detail}{faults}")


class Unreachable(FairwayError):
    """The API did not answer; what was asked may be done or not, and asking again with the same key is safe."""


class NotInTime(FairwayError):
    """A job has not ended yet; *job_id* names it."""

    def __init__(self, job_id: str, within_s: float) -> None:
        super().__init__(f"Job {job_id} has not ended within {within_s:g} s. It goes on: wait for it again.")
        self.job_id = job_id


class NotSent(FairwayError):
    """A file can't be sent as it is: it changed meanwhile, or has no name that can be said."""


class NotWhole(FairwayError):
    """What came of a file is not what is stored; none of it was kept."""


def _where(fault: Mapping[str, str]) -> str:
    return fault.get("pointer") or fault.get("parameter") or fault.get("header") or "the request"
