"""The sync against a model: whatever comes, goes, returns or is done by hand, tickets equal their source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.clock import Clock
from common.services import Services
from common.tickets.attributes import from_stored
from common.tickets.by_hand import TicketsByHand
from common.tickets.classifying.classifier import classify
from common.tickets.collections import TOMBSTONES
from common.tickets.counting.folding import fold_all
from tests.integration.conftest import caller_of
from tests.integration.tickets.conftest import make_importer
from tests.integration.tickets.counted import kept_counts, recounted
from tests.integration.tickets.syncing import KEPT_FOR, UNSAID, Record, Syncing, former_states, state_of

T = TypeVar("T")
KEYS = ("a", "b", "c")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("plan", "$set", "a.b", "", "subject", "%24")
FIELDS = st.fixed_dictionaries(
    {"message": st.sampled_from(["My card is lost!", "URGENT: help now!!", "Thanks, all is well.", "broken"])},
    optional={
        "subject": st.sampled_from([None, "Refund", "It is urgent"]),
        "channel": st.sampled_from([None, "email", "chat"]),
        "status": st.sampled_from(["open", "closed"]),
        "tags": st.sampled_from([[], ["x"], ["x", "y"]]),
        "created_at": st.sampled_from([T0, T0 + timedelta(days=1)]),
    },
)
VALUES = st.sampled_from([None, 0, 1, 1.0, True, "1", "gold"])
RECORDS = st.builds(
    Record,
    key=st.sampled_from(KEYS),
    fields=FIELDS,
    attributes=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    noise=st.integers(0, 1),
    changed_at=st.sampled_from([None, T0, T0 + timedelta(hours=1)]),
)
PICK = st.floats(0, 1, exclude_max=True)


@dataclass
class Modelled:
    """What is known of one record's ticket."""

    said: dict[str, Any]
    attributes: dict[str, Any]
    content_hash: str
    deleted_by: str | None = None
    is_expired: bool = False
    ticket_id: str = ""
    states: list[dict[str, Any]] = field(default_factory=list)
    known_from: int = 0


class LifeOfTickets(RuleBasedStateMachine):
    """What sources and people do, in any order."""

    services: Services

    @initialize()
    def begin(self) -> None:
        org_id = make_importer(self.services).org_id
        self.who = caller_of(org_id)
        self.sync = Syncing(self.services.scope(org_id))
        self.tickets: dict[str, Modelled] = {}
        self.shown: dict[str, Record] = {}
        self.by_hand = TicketsByHand(
            self.services.control, self.services.scope, cast("Clock", self), kept_for=KEPT_FOR
        )

    def now(self) -> datetime:
        self.sync.now += timedelta(seconds=1)
        return self.sync.now

    # What the source does.

    @rule(records=st.lists(RECORDS, min_size=1, max_size=4))
    def page(self, records: Sequence[Record]) -> None:
        wanted = Counter[str]()
        latest = winners(records)
        wanted["repeated"] = len(records) - len(latest)
        for one in latest.values():
            wanted[self.take(one)] += 1

        counts = self.sync.page(*records)

        assert {name: count for name, count in vars(counts).items() if count} == +wanted
        self.shown |= latest

    @precondition(lambda self: self.shown)
    @rule()
    def everything_again(self) -> None:
        self.page(list(self.shown.values()))

    @precondition(lambda self: self.shown)
    @rule(pick=PICK, field=st.sampled_from(["message", "channel"]), text=st.sampled_from(["URGENT!", "Thanks"]))
    def one_changes(self, pick: float, field: str, text: str) -> None:
        one = picked(self.shown, pick)
        self.page([replace(one, fields={**one.fields, field: text}, changed_at=None)])

    @precondition(lambda self: self.live())
    @rule(pick=PICK, is_alone=st.booleans())
    def gone(self, pick: float, *, is_alone: bool) -> None:
        keys = {picked({key: key for key in self.live()}, pick)} if is_alone else {*KEYS, "never"}
        wanted = 0
        for key in keys & self.tickets.keys():
            ticket = self.tickets[key]
            if not ticket.is_expired and not ticket.content_hash.startswith("gone:"):
                ticket.content_hash = f"gone:{ticket.content_hash}"
                wanted += ticket.deleted_by is None
                ticket.deleted_by = ticket.deleted_by or "source"

        assert self.sync.gone(*sorted(keys)).deleted == wanted

    @precondition(lambda self: self.deleted())
    @rule()
    def expire(self) -> None:
        self.sync.expire()
        for ticket in self.deleted().values():
            ticket.is_expired = True

    # What people do.

    @precondition(lambda self: self.live())
    @rule(pick=PICK)
    def delete(self, pick: float) -> None:
        ticket = picked(self.live(), pick)
        self.by_hand.delete(self.who, ticket.ticket_id, revision=None)
        ticket.deleted_by = self.who.user_id

    @precondition(lambda self: self.deleted())
    @rule(pick=PICK)
    def restore(self, pick: float) -> None:
        ticket = picked(self.deleted(), pick)
        self.by_hand.restore(self.who, ticket.ticket_id, revision=None)
        ticket.deleted_by, ticket.content_hash = None, ticket.content_hash.removeprefix("gone:")

    @precondition(lambda self: self.live())
    @rule(pick=PICK, subject=st.sampled_from(["By hand", None]), urgency=st.sampled_from(["low", "high", None]))
    def edit(self, pick: float, subject: str | None, urgency: str | None) -> None:
        ticket = picked(self.live(), pick)
        self.by_hand.change(self.who, ticket.ticket_id, {"subject": subject, "urgency": urgency}, revision=None)
        ticket.said |= {"subject": subject, "urgency": urgency}

    # What is done behind their backs.

    @rule()
    def fold(self) -> None:
        fold_all(self.sync.scope)

    # What holds at any time.

    @invariant()
    def tickets_are_as_the_model_says(self) -> None:
        stored = {one["external_id"]: one for one in self.sync.all_stored()}
        assert stored.keys() == {key for key, one in self.tickets.items() if not one.is_expired}
        for key, one in stored.items():
            ticket = self.tickets[key]
            ticket.ticket_id = ticket.ticket_id or one["_id"]
            assert one["_id"] == ticket.ticket_id
            assert one["content_hash"] == ticket.content_hash
            assert (one.get("deleted_by"), "expires_at" in one) == (ticket.deleted_by, bool(ticket.deleted_by))
            assert exactly(from_stored(one["attributes"])) == exactly(ticket.attributes)
            self.has_fields(state_of(one), ticket)

    @invariant()
    def history_leads_back_to_every_former_state(self) -> None:
        for one in self.sync.all_stored():
            ticket, history = self.tickets[one["external_id"]], self.sync.history(one["_id"])
            states = former_states(one, history[ticket.known_from :])
            known = len(ticket.states)
            assert states[:known] == ticket.states
            assert len(states) <= known + 1
            assert one["revision"] >= len(history)
            ticket.states = states

    @invariant()
    def whoever_is_deleted_has_a_tombstone_and_nobody_else(self) -> None:
        stones = {one["_id"]: one["deleted_by"] for one in self.sync.scope[TOMBSTONES].find()}
        wanted = {one.ticket_id: one.deleted_by for one in self.tickets.values() if one.deleted_by}
        assert stones == wanted

    @invariant()
    def rollups_and_what_waits_for_them_equal_a_recount(self) -> None:
        assert kept_counts(self.sync.scope) == recounted(self.sync.scope)

    def take(self, one: Record) -> str:
        """Bring a record into the model; return what becomes of it."""
        before = self.tickets.get(one.key)
        if before is not None and before.is_expired and before.deleted_by != "source":
            return "unchanged"
        if before is not None and not before.is_expired and before.content_hash == one.incoming.content_hash:
            return "unchanged"
        if one.is_broken:
            return "refused"
        said = {"created_at": self.sync.now + timedelta(seconds=1), **UNSAID, **one.fields}
        if before is None:
            self.tickets[one.key] = Modelled(said, dict(one.attributes), one.incoming.content_hash)
            return "new"
        if before.is_expired:
            count = len(self.sync.history(before.ticket_id))
            self.tickets[one.key] = Modelled(
                said,
                dict(one.attributes),
                one.incoming.content_hash,
                ticket_id=before.ticket_id,
                known_from=count + 1,
            )
            return "returned"
        return self.revise(before, one)

    def revise(self, before: Modelled, one: Record) -> str:
        """Bring a record to its ticket that is there; return what becomes of it."""
        is_back = before.deleted_by == "source"
        differs = any(not same(before.said[name], value) for name, value in one.fields.items())
        names = {*before.attributes, *one.attributes}
        differs |= any(not same(before.attributes.get(name), one.attributes.get(name)) for name in names)
        before.said |= one.fields
        before.attributes = dict(one.attributes)
        before.content_hash = one.incoming.content_hash
        if is_back:
            before.deleted_by = None
            return "returned"
        return "updated" if differs else "unchanged"

    def has_fields(self, state: Mapping[str, Any], ticket: Modelled) -> None:
        said = dict(ticket.said)
        urgency = said.pop("urgency", None)
        classes = classify(said["subject"], said["message"])
        assert {name: state[name] for name in said} == said
        assert (state["urgency"], state["overridden"]) == (
            urgency or classes.urgency,
            ["urgency"] if urgency else [],
        )
        assert (state["sentiment"], state["requires_action"]) == (classes.sentiment, classes.requires_action)

    def live(self) -> dict[str, Modelled]:
        return {key: one for key, one in self.tickets.items() if not one.deleted_by}

    def deleted(self) -> dict[str, Modelled]:
        return {key: one for key, one in self.tickets.items() if one.deleted_by and not one.is_expired}


def picked(among: Mapping[str, T], pick: float) -> T:
    return list(among.values())[int(pick * len(among))]


def winners(records: Sequence[Record]) -> dict[str, Record]:
    """Say which record of each key counts, as plainly as it can be said."""
    latest: dict[str, Record] = {}
    for one in records:
        other = latest.get(one.key)
        is_older = other and other.changed_at and one.changed_at and one.changed_at < other.changed_at
        if not is_older:
            latest[one.key] = one
    return latest


def exactly(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells true from 1 and 1 from 1.0, too."""
    return {name: repr(value) for name, value in attributes.items()}


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def check(services: Services, *, examples: int, derandomize: bool) -> None:
    """Run so many random lives."""
    machine = type("Life", (LifeOfTickets,), {"services": services})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=derandomize,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_tickets_equal_their_source_whatever_happens(import_services: Services) -> None:
    check(import_services, examples=30, derandomize=True)


@pytest.mark.slow
def test_tickets_equal_their_source_in_many_lives(import_services: Services) -> None:
    check(import_services, examples=500, derandomize=False)
