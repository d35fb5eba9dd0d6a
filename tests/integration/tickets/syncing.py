"""A source as the tests see it: records, pages of them synced on real MongoDB, and history undone step by step."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from common.ids import JobId, new_id
from common.tenancy.scope import OrgScope
from common.tickets.attributes import escape, from_stored
from common.tickets.collections import HISTORY, TICKETS
from common.tickets.reading.rows import Refusal
from common.tickets.sync import Incoming, Plan, Tally, plan, plan_gone
from common.tickets.ticket import Ticket, ticket

KEPT_FOR = timedelta(days=30)
TRACKED = (
    "external_id", "customer_id", "channel", "subject", "message", "status", "tags",
    "urgency", "sentiment", "requires_action", "created_at",
)  # fmt: skip
UNSAID = {"channel": None, "subject": None, "status": "open", "tags": []}
BROKEN = "broken"


@dataclass(frozen=True)
class Record:
    """A record of a source; *noise* is another content that makes the same ticket."""

    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    noise: int = 0
    changed_at: datetime | None = None

    @property
    def natural_key(self) -> str:
        return f"id:{self.key}"

    @property
    def is_broken(self) -> bool:
        return self.fields.get("message") == BROKEN

    @property
    def incoming(self) -> Incoming:
        essence = json.dumps([self.key, dict(self.fields), dict(self.attributes), self.noise], default=str)
        digest = hashlib.sha256(essence.encode()).hexdigest()[:40]
        return Incoming(self.natural_key, digest, self, self.changed_at)

    def ticket(self) -> Ticket:
        said = {"external_id": self.key, **self.fields}
        return ticket({**said, "attributes": {escape(name): value for name, value in self.attributes.items()}})


def record(key: str, message: str = "My card is lost.", **more: Any) -> Record:
    """Return a record with that message; *more* are its other fields, *attributes* and *noise* among them."""
    own = {name: more.pop(name) for name in ("attributes", "noise", "changed_at") if name in more}
    return Record(key, {"message": message, **more}, **own)


def different_words(of: str, chars: int) -> str:
    """Return a text in which no word comes twice, nor in that of another *of*."""
    return " ".join(f"{of}{number:x}" for number in range(chars // (len(of) + 5)))


def make(one: Incoming) -> Ticket | Refusal:
    """Return the ticket of a record, or its refusal."""
    return Refusal(1, "message", "message is broken.") if one.raw.is_broken else one.raw.ticket()


@dataclass
class Syncing:
    """Syncs one source of an organization; each step is a job, a second after the one before."""

    scope: OrgScope
    source_id: str = field(default_factory=new_id)
    now: datetime = datetime(2126, 1, 1, tzinfo=UTC)  # so late that MongoDB's own TTL thread finds nothing to do

    def plan(self, records: Iterable[Record]) -> Plan:
        self.now += timedelta(seconds=1)
        return plan(
            self.scope,
            source_id=self.source_id,
            incoming=[one.incoming for one in records],
            make=make,
            job_id=JobId(new_id()),
            now=self.now,
        )

    def plan_gone(self, keys: Iterable[str]) -> Plan:
        self.now += timedelta(seconds=1)
        return plan_gone(
            self.scope,
            source_id=self.source_id,
            keys=[f"id:{key}" for key in keys],
            job_id=JobId(new_id()),
            now=self.now,
            kept_for=KEPT_FOR,
        )

    def write(self, planned: Plan) -> Tally:
        self.scope.transaction(planned.write)
        return planned.counts

    def page(self, *records: Record) -> Tally:
        return self.write(self.plan(records))

    def gone(self, *keys: str) -> Tally:
        return self.write(self.plan_gone(keys))

    def expire(self) -> None:
        """Do what MongoDB's TTL index does once a minute, at the time that the index says."""
        self.now += KEPT_FOR
        self.scope[TICKETS].delete_many({"expires_at": {"$lte": self.now}})

    def stored(self, key: str) -> dict[str, Any]:
        [found] = self.scope[TICKETS].find({"source_id": self.source_id, "natural_key": f"id:{key}"})
        return found

    def all_stored(self) -> list[dict[str, Any]]:
        return list(self.scope[TICKETS].find({"source_id": self.source_id}))

    def history(self, ticket_id: str) -> list[dict[str, Any]]:
        return list(self.scope[HISTORY].find({"ticket_id": ticket_id}, sort=[("_id", 1)]))

    def actions(self, key: str) -> list[str]:
        return [one["action"] for one in self.history(self.stored(key)["_id"])]


def state_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what history tells of a ticket; an attribute that is null is like one that is not there."""
    attributes = {f"attributes.{name}": value for name, value in from_stored(stored["attributes"]).items()}
    fields = {name: stored[name] for name in TRACKED} | {"overridden": stored.get("overridden") or []}
    kept = {name: value for name, value in attributes.items() if value is not None}
    return {**fields, **kept, "is_deleted": stored["deleted_at"] is not None}


def undone(state: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state before a change. Fails if the change did not lead to *state*."""
    before = dict(state)
    for change in entry["changes"]:
        name, old = change["field"], change["old"]
        assert before.get(name) == (change["new"] or [] if name == "overridden" else change["new"]), name
        before[name] = old or [] if name == "overridden" else old
        if name.startswith("attributes.") and old is None:
            del before[name]
    if entry["action"] in {"deleted", "returned", "restored"}:
        assert before["is_deleted"] == (entry["action"] == "deleted")
        before["is_deleted"] = not before["is_deleted"]
    return before


def former_states(stored: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the states of a ticket from its first on, found by undoing its history from the last change on."""
    states = [state_of(stored)]
    for entry in reversed(history):
        states.append(undone(states[-1], entry))
    return states[::-1]


__all__ = [
    "KEPT_FOR",
    "Record",
    "Syncing",
    "different_words",
    "former_states",
    "make",
    "record",
    "replace",
    "state_of",
]
