"""Sources: outside APIs that tickets are ingested from, their runs and what these told."""

from collections.abc import Iterator, Mapping
from typing import Any

from fairway.calls import Calls
from fairway.models import Job
from fairway.source_models import IngestionLog, Mode, RefusedRecord, Source


class Sources(Calls):
    """The operations on sources."""

    def make_source(
        self,
        name: str,
        connector: str,
        base_url: str,
        *,
        credentials: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        page_size: int | None = None,
        rate_limit: Mapping[str, int] | None = None,
        every_minutes: int | None = None,
        key: str | None = None,
    ) -> Source:
        """Set up a source; *rate_limit* is `{limit, per_s}`, below what its host is asked at most."""
        asked = {
            "name": name,
            "connector": connector,
            "base_url": base_url,
            "credentials": credentials,
            "config": config or {},
            "page_size": page_size,
            "rate_limit": rate_limit,
            "every_minutes": every_minutes,
        }
        return Source.read(self._start("/v1/sources", key, json=asked))

    def sources(self) -> Iterator[Source]:
        """Go through the organization's sources, the newest first."""
        return self._pages("/v1/sources", Source.read)

    def source(self, source_id: str) -> Source:
        """Return a source."""
        return Source.read(self._transport.ask("GET", f"/v1/sources/{source_id}").json())

    def change_source(self, source_id: str, **changes: Any) -> Source:
        """Change what a source is made of, by the names of `make_source`; `None` takes away what need not be."""
        return Source.read(self._transport.ask("PATCH", f"/v1/sources/{source_id}", json=changes).json())

    def delete_source(self, source_id: str) -> None:
        """Delete a source with its credentials; its tickets stay."""
        self._transport.ask("DELETE", f"/v1/sources/{source_id}")

    def ingest(self, source_id: str, mode: Mode = "incremental", *, key: str | None = None) -> Job:
        """Start a run of a source; while one goes on, the problem that is raised has a link to it."""
        return Job.read(self._start(f"/v1/sources/{source_id}/ingestions", key, json={"mode": mode}))

    def ingestion_logs(self, *, source_id: str | None = None) -> Iterator[IngestionLog]:
        """Go through the logs of runs, of one source or of all, the newest first."""
        return self._pages("/v1/ingestion-logs", IngestionLog.read, source_id=source_id)

    def refused_records(self, job_id: str) -> Iterator[RefusedRecord]:
        """Go through the records that a run set aside."""
        return self._pages(f"/v1/ingestion-logs/{job_id}/refused-records", RefusedRecord.read)
