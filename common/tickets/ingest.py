"""What is asked: bring in the tickets of one source."""

from typing import Literal

from common.jobs.kind import Job


class IngestTickets(Job, name="tickets.ingest", queue="ingestion", time_limit_s=3600):
    """Read the pages of a source's API and keep the tickets that they hold.

    *incremental* asks for what changed since the last run that ended whole, *full* for everything: only then can
    it be told what is gone there.
    """

    source_id: str
    mode: Literal["incremental", "full"]
