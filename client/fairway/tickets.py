"""Tickets: imported from files, and listed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fairway.calls import Calls
from fairway.models import Job, RefusedRow, Ticket


class Tickets(Calls):
    """The operations on tickets."""

    def import_tickets(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        source: str | None = None,
        key: str | None = None,
    ) -> Job:
        """Import a file of tickets, sent as it is read. *mapping* is ticket field to column."""
        data = {"mapping": json.dumps(dict(mapping))} if mapping else {}
        data |= {"source": source} if source is not None else {}
        with file.open("rb") as content:
            files = {"file": (file.name, content)}
            return Job.read(self._start("/v1/tickets/imports", key, files=files, data=data))

    def refused_rows(self, job_id: str) -> Iterator[RefusedRow]:
        """Go through the rows that an import refused."""
        return self._pages(f"/v1/tickets/imports/{job_id}/refused-rows", RefusedRow.read)

    def tickets(
        self,
        *,
        status: str | None = None,
        source_id: str | None = None,
        made_from: str | None = None,
        made_to: str | None = None,
    ) -> Iterator[Ticket]:
        """Go through the organization's tickets, newest first; the instants bound `created_at`."""
        bounds = {"from": made_from, "to": made_to}
        return self._pages("/v1/tickets", Ticket.read, status=status, source_id=source_id, **bounds)

    def ticket(self, ticket_id: str) -> Ticket:
        """Return a ticket."""
        return Ticket.read(self._transport.ask("GET", f"/v1/tickets/{ticket_id}").json())
