"""How a job is named in Redis: its id, its organization and its kind, as one word."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from common.ids import JobId, OrgId


@dataclass(frozen=True, slots=True)
class Member:
    """A job as the lanes know it."""

    org_id: OrgId
    job_id: JobId
    kind: str

    def __str__(self) -> str:
        return f"{self.job_id}:{in_keys(self.org_id)}:{self.kind}"

    @classmethod
    def parse(cls, raw: bytes) -> "Member":
        """Read what a lane holds. Raises `ValueError` if it is no member of ours."""
        job_id, colon, rest = raw.decode().partition(":")
        org_id, second, kind = rest.partition(":")
        if not (colon and second and job_id and kind):
            raise ValueError(f"{raw[:80]!r} is not a lane's member.")
        return cls(org_id=org_in_keys(org_id), job_id=JobId(job_id), kind=kind)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a job stands: its queue, its name there, its priority, and whether it may share a slot's time."""

    queue: str
    member: Member
    priority: int
    alone: bool = False


@lru_cache(maxsize=10_000)
def in_keys(org_id: str) -> str:
    """Return *org_id* as it stands in keys and members: nothing of it can end a part of them or be a pattern."""
    return quote(org_id, safe="")


@lru_cache(maxsize=10_000)
def org_in_keys(part: str) -> OrgId:
    """Return the organization of which `in_keys` made *part*."""
    return OrgId(unquote(part))
