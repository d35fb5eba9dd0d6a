"""Who asks: the person or machine behind a request, and the one organization it speaks for."""

from dataclasses import dataclass
from typing import Literal

from common.ids import PLATFORM, JobId, OrgId

Role = Literal["operator", "admin", "member", "job"]


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. *org_id* comes from the credential alone; nothing in a request can widen it.

    The role `job` is that of a sign-up's `job_token`, which reads *only_job* and nothing else. *expires_at* is
    when the credential ends, in seconds since the epoch; *scopes* bound what an API key may do, a person has none.
    """

    org_id: OrgId
    user_id: str
    role: Role
    request_id: str
    only_job: JobId | None = None
    traceparent: str | None = None
    expires_at: int | None = None
    session_id: str = ""
    scopes: frozenset[str] | None = None

    @property
    def party(self) -> str:
        """Return whom requests and streams count for: the organization.

        Who only reads one job of the platform's own, as a deletion, takes nothing from the operators.
        """
        return f"job:{self.only_job}" if self.role == "job" and self.org_id == PLATFORM else self.org_id
