"""Tickets: imported from files, listed and searched, and made and changed by hand."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairway.calls import Calls
from fairway.models import Job, RefusedRow, Ticket, TicketChange


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
        q: str | None = None,
        status: str | None = None,
        urgency: str | None = None,
        sentiment: str | None = None,
        requires_action: bool | None = None,
        source_id: str | None = None,
        external_id: str | None = None,
        made_from: str | None = None,
        made_to: str | None = None,
        deleted: bool = False,
    ) -> Iterator[Ticket]:
        """Go through the organization's tickets, newest first; the instants bound `created_at`.

        *q* is words that are in subject or message. *external_id* needs *source_id*. With
        *deleted* these are the ones that can be restored, the last deleted first.
        """
        which = {"q": q, "status": status, "urgency": urgency, "sentiment": sentiment, "source_id": source_id}
        which["external_id"] = external_id
        more = {"requires_action": requires_action, "deleted": deleted or None, "from": made_from, "to": made_to}
        return self._pages("/v1/tickets", Ticket.read, **which, **more)

    def ticket(self, ticket_id: str) -> Ticket:
        """Return a ticket."""
        return Ticket.read(self._transport.ask("GET", f"/v1/tickets/{ticket_id}").json())

    def make_ticket(self, message: str, *, key: str | None = None, **fields: Any) -> Ticket:
        """Make a ticket by hand; *fields* may be all that `change_ticket` takes, and `external_id`."""
        return Ticket.read(self._start("/v1/tickets", key, json={"message": message, **fields}))

    def change_ticket(self, ticket_id: str, **changes: Any) -> Ticket:
        """Change a ticket's `subject`, `message`, `status`, `tags`, `customer_id`, `channel` or `attributes`.

        Also `urgency`, `sentiment` and `requires_action`, which are computed again once they are `None`.
        """
        return Ticket.read(self._transport.ask("PATCH", f"/v1/tickets/{ticket_id}", json=changes).json())

    def delete_ticket(self, ticket_id: str) -> None:
        """Delete a ticket; it can be restored until it expires."""
        self._transport.ask("DELETE", f"/v1/tickets/{ticket_id}")

    def restore_ticket(self, ticket_id: str) -> Ticket:
        """Restore a deleted ticket."""
        return Ticket.read(self._transport.ask("POST", f"/v1/tickets/{ticket_id}/restore").json())

    def ticket_history(self, ticket_id: str) -> Iterator[TicketChange]:
        """Go through what became of a ticket, the newest first."""
        return self._pages(f"/v1/tickets/{ticket_id}/history", TicketChange.read)
