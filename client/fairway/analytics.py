"""Statistics of tickets, usage, and reports of both as files."""

from collections.abc import Iterator
from pathlib import Path

from fairway.analytics_models import Report, TicketStatistics, Usage
from fairway.bodies import Seen
from fairway.calls import Calls
from fairway.downloads import Content, download
from fairway.models import Job


class Analytics(Calls):
    """What an organization's tickets come to, and what it uses."""

    def ticket_statistics(
        self,
        *,
        made_from: str | None = None,
        made_to: str | None = None,
        tz: str | None = None,
        source_id: str | None = None,
    ) -> TicketStatistics:
        """Count the organization's tickets; the instants bound `created_at`, and *tz* is a zone's IANA name."""
        which = {"from": made_from, "to": made_to, "tz": tz, "source_id": source_id}
        query = {name: value for name, value in which.items() if value is not None}
        return TicketStatistics.read(self._transport.ask("GET", "/v1/analytics/tickets", query=query).json())

    def usage(self, *, used_from: str | None = None, used_to: str | None = None) -> Usage:
        """Return what the organization uses of what its tier gives; of this month unless instants are given."""
        query = {name: value for name, value in (("from", used_from), ("to", used_to)) if value is not None}
        return Usage.read(self._transport.ask("GET", "/v1/analytics/usage", query=query).json())

    def make_report(
        self,
        kind: str,
        format: str,  # noqa: A002 (the contract's name)
        *,
        made_from: str,
        made_to: str,
        tz: str = "UTC",
        source_id: str | None = None,
        key: str | None = None,
    ) -> Job:
        """Have a report written of `tickets`, `statistics` or `usage`, or an `overview`; its id is the job's.

        As `json`, `csv` or `xlsx`; an overview as `html`.
        """
        asked = {"kind": kind, "format": format, "from": made_from, "to": made_to, "tz": tz}
        return Job.read(self._start("/v1/analytics/reports", key, json={**asked, "source_id": source_id}))

    def reports(self) -> Iterator[Report]:
        """Go through the organization's reports that have not expired, the newest first."""
        return self._pages("/v1/analytics/reports", Report.read)

    def report(self, report_id: str) -> Report:
        """Return a report."""
        return Report.read(self._transport.ask("GET", f"/v1/analytics/reports/{report_id}").json())

    def download_report(self, report_id: str, file: Path, *, seen: Seen | None = None) -> None:
        """Write a report to *file*, which is there only once all of it has come; cut off, it goes on there."""
        found = self.report(report_id)
        content = Content(f"/v1/analytics/reports/{report_id}/content", found.size_bytes, found.sha256)
        download(self._transport, content, file, seen)

    def delete_report(self, report_id: str) -> None:
        """Delete a report."""
        self._transport.ask("DELETE", f"/v1/analytics/reports/{report_id}")
