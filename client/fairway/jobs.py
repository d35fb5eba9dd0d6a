"""Jobs: submitted, waited for, followed, cancelled and retried."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairway.calls import Calls
from fairway.errors import NotInTime
from fairway.events import Event, follow
from fairway.models import Counted, Job, Kind

POLL_S = 20
DAY_S = 24 * 3600.0


class Jobs(Calls):
    """The operations on jobs, and ways of waiting for one."""

    def kinds(self) -> Iterator[Kind]:
        """Go through the kinds of job that may be submitted."""
        return self._pages("/v1/kinds", Kind.read)

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        run_at: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] = (),
        key: str | None = None,
    ) -> Job:
        """Submit a job; *run_at* is RFC 3339. With the same *key*, the same request starts nothing twice."""
        body = {"payload": dict(payload), "run_at": run_at, "priority": priority, "tags": list(tags)}
        asked = {name: value for name, value in body.items() if value not in (None, [])}
        return Job.read(self._start(f"/v1/kinds/{kind}/jobs", key, json=asked))

    def job(self, job_id: str, *, wait_s: int = 0) -> Job:
        """Return a job; with *wait_s* (30 at most), at its next change of state."""
        found = self._transport.ask("GET", f"/v1/jobs/{job_id}", query={"wait": wait_s or None})
        return Job.read(found.json())

    def jobs(
        self, *, kind: str | None = None, state: str | None = None, since: str | None = None
    ) -> Iterator[Job]:
        """Go through the organization's jobs, newest first."""
        return self._pages("/v1/jobs", Job.read, kind=kind, state=state, since=since)

    def wait(self, job_id: str, *, within_s: float = DAY_S) -> Job:
        """Return the job once it has ended. Raises `NotInTime`."""
        ends_at = time.monotonic() + within_s
        while not (job := self.job(job_id, wait_s=max(0, min(POLL_S, int(ends_at - time.monotonic()))))).is_final:
            if time.monotonic() >= ends_at:
                raise NotInTime(job_id, within_s)
        return job

    def follow(self, job_id: str, *, within_s: float = DAY_S) -> Iterator[Event]:
        """Yield the job's changes until it has ended, over as many connections as it takes. Raises `NotInTime`."""
        return follow(self._transport, job_id, within_s=within_s)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, or ask a running one to stop at its next checkpoint."""
        return Job.read(self._transport.ask("POST", f"/v1/jobs/{job_id}/cancel").json())

    def retry(self, job_id: str, *, key: str | None = None) -> Job:
        """Start a fresh run of a failed or cancelled job."""
        return Job.read(self._start(f"/v1/jobs/{job_id}/retry", key))

    def count_many(self, verb: str, which: Mapping[str, Any]) -> Counted:
        """Count what `retry` or `cancel` (*verb*) by a filter would change."""
        body = {"filter": dict(which), "dry_run": True}
        path = {"retry": "/v1/jobs/retry", "cancel": "/v1/jobs/cancel"}[verb]
        return Counted.read(self._transport.ask("POST", path, json=body).json())

    def change_many(self, verb: str, which: Mapping[str, Any], *, key: str | None = None) -> Job:
        """Retry or cancel all jobs that a filter finds (`kind`, `state`, `since`, `until`), as a job."""
        path = {"retry": "/v1/jobs/retry", "cancel": "/v1/jobs/cancel"}[verb]
        return Job.read(self._start(path, key, json={"filter": dict(which)}))
