"""What a page costs, who wins when two write at once, and what returns after it was gone."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.monitoring import CommandListener

from common.errors import JobFailed
from common.ids import OrgId, new_id
from common.services import Services
from common.tenancy.changes import Changes
from common.tenancy.connection import connect
from common.tenancy.registry import Registry
from common.tenancy.remembered import Remembered
from common.tickets import tombstones
from common.tickets.by_hand import TicketsByHand
from common.tickets.classifying.classifier import VERSION
from common.tickets.collections import HISTORY, TICKETS, TOMBSTONES
from common.tickets.sync import Overtaken, Plan, Tally, look_up, plan_rows
from tests.integration.conftest import caller_of
from tests.integration.tickets.conftest import make_importer
from tests.integration.tickets.syncing import KEPT_FOR, Syncing, different_words, former_states, record, state_of


class Sent(CommandListener):
    """Notes the commands on tenants' data that a client sends."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, dict[str, Any]]] = []

    def started(self, event: Any) -> None:
        if event.command_name in {"find", "insert", "update", "delete", "getMore"}:
            command = {name: value for name, value in event.command.items() if name[0] != "$"}
            self.commands.append((event.command_name, str(event.command.get(event.command_name)), command))

    def succeeded(self, event: Any) -> None:
        del event

    def failed(self, event: Any) -> None:
        del event

    def take(self) -> list[str]:
        """Return what was sent since the last time, and forget it."""
        found = [f"{name} {collection}" for name, collection, _ in self.commands]
        self.commands.clear()
        return found


@pytest.fixture
def org_id(import_services: Services) -> OrgId:
    """Return a fresh organization."""
    return make_importer(import_services).org_id


@pytest.fixture
def sync(import_services: Services, org_id: OrgId) -> Syncing:
    """Return a source of that organization."""
    return Syncing(import_services.scope(org_id))


@pytest.fixture
def by_hand(import_services: Services) -> TicketsByHand:
    """Return what people change tickets with."""
    services = import_services
    return TicketsByHand(services.control, services.scope, services.clock, kept_for=KEPT_FOR)


@pytest.fixture
def watched(servers: Any, import_services: Services, org_id: OrgId) -> Iterator[tuple[Syncing, Sent, Any]]:
    """Return a source whose commands are noted, and the database that they go to."""
    sent = Sent()
    client = connect(servers.mongo.url, "watched", [sent])
    control, database = import_services.control, import_services.registry.pooled(org_id).database
    registry = Registry(control, client, (database,), Remembered(Changes(control)))
    yield Syncing(registry.scope(org_id)), sent, client[database]
    client.close()


def test_what_is_new_changed_unchanged_repeated_and_refused_is_counted(sync: Syncing) -> None:
    sync.page(record("a"), record("b"), record("c"))

    counts = sync.page(
        record("a"), record("b", "Other"), record("b", "Another"), record("c", "broken"), record("d")
    )

    assert counts == Tally(new=1, updated=1, unchanged=1, repeated=1, refused=1)
    assert sync.stored("b")["message"] == "Another"
    assert sync.stored("c")["message"] == "My card is lost."


def test_the_newest_of_a_key_counts_wherever_it_stands(sync: Syncing) -> None:
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    sync.page(record("a", "new", changed_at=late), record("a", "old", changed_at=early))

    assert sync.stored("a")["message"] == "new"


def test_a_look_up_reads_no_document(watched: tuple[Syncing, Sent, Any]) -> None:
    sync, sent, database = watched
    sync.page(*(record(str(number)) for number in range(500)))
    sent.take()

    found = look_up(sync.scope, sync.source_id, [f"id:{number}" for number in range(0, 1_000, 2)])

    [(_, _, command)] = sent.commands
    asked = {name: command[name] for name in ("find", "filter", "projection", "hint")}
    told = database.command("explain", asked, verbosity="executionStats")["executionStats"]
    assert len(found) == told["nReturned"] == 250
    assert told["totalDocsExamined"] == 0


def test_a_page_without_a_change_is_one_question(watched: tuple[Syncing, Sent, Any]) -> None:
    sync, sent, _ = watched
    records = [record(str(number)) for number in range(1_000)]
    sync.page(*records)
    sent.take()

    counts = sync.page(*records)

    assert counts == Tally(unchanged=1_000)
    assert sent.take() == ["find tickets"]


def test_a_page_with_everything_is_one_write_of_each_sort(watched: tuple[Syncing, Sent, Any]) -> None:
    sync, sent, _ = watched
    sync.page(record("a"), record("b"), record("c"), record("d"))
    sync.gone("c", "d")
    sync.expire()
    sync.page(record("e"))
    sync.gone("e")
    sent.take()

    counts = sync.page(record("a"), record("b", "Other"), record("c"), record("e"), record("f"))

    assert counts == Tally(new=1, updated=1, unchanged=1, returned=2)
    assert sorted(sent.take()) == [
        "delete ticket_tombstones",
        "find ticket_tombstones",  # are there any?
        "find ticket_tombstones",
        "find tickets",  # what differs
        "find tickets",  # what it was
        "insert ticket_deltas",
        "insert ticket_history",
        "insert tickets",
        "update tickets",
    ]


def test_another_content_of_the_same_ticket_is_no_change(sync: Syncing) -> None:
    sync.page(record("a"))
    before = sync.stored("a")

    counts = sync.page(record("a", noise=1))

    after = sync.stored("a")
    assert counts == Tally(unchanged=1)
    assert after["content_hash"] != before["content_hash"]
    assert after | {"content_hash": before["content_hash"]} == before
    assert sync.page(record("a", noise=1)) == Tally(unchanged=1)
    assert sync.actions("a") == []


def test_history_says_what_each_field_was_and_is(sync: Syncing) -> None:
    sync.page(record("a", "All is well, thanks.", subject="Hi", attributes={"plan": "free", "$x.y": 1}))

    sync.page(record("a", "URGENT: my money is gone!", attributes={"plan": "gold", "$x.y": 1}))

    [entry] = sync.history(sync.stored("a")["_id"])
    changes = {one["field"]: (one["old"], one["new"]) for one in entry["changes"]}
    assert entry["action"] == "updated"
    assert changes["message"] == ("All is well, thanks.", "URGENT: my money is gone!")
    assert changes["attributes.plan"] == ("free", "gold")
    assert changes["urgency"] == ("low", "high")
    assert not {"subject", "attributes.$x.y", "attributes"} & changes.keys()
    assert (sync.stored("a")["subject"], sync.stored("a")["revision"]) == ("Hi", 1)


def test_a_ticket_is_classified_again_when_it_changes_and_not_before(sync: Syncing) -> None:
    sync.page(record("a"), record("b"))
    older = {"classifier": "older", "urgency": "none", "sentiment": "none"}
    sync.scope[TICKETS].update_many({"source_id": sync.source_id}, {"$set": older})

    sync.page(record("a"), record("b", channel="email"))

    untouched, changed = sync.stored("a"), sync.stored("b")
    assert (untouched["classifier"], untouched["urgency"]) == ("older", "none")
    assert changed["classifier"] == VERSION
    assert changed["urgency"] != "none"
    [entry] = sync.history(changed["_id"])
    assert {one["field"] for one in entry["changes"]} == {"channel", "urgency", "sentiment"}


def test_what_was_overridden_by_hand_stays(sync: Syncing, by_hand: TicketsByHand, org_id: OrgId) -> None:
    sync.page(record("a", "All is well, thanks."))
    by_hand.change(caller_of(org_id), sync.stored("a")["_id"], {"urgency": "medium"}, revision=None)

    sync.page(record("a", "URGENT: my money is gone!"))

    after = sync.stored("a")
    assert (after["urgency"], after["overridden"], after["requires_action"]) == ("medium", ["urgency"], True)
    assert "urgency" not in {one["field"] for one in sync.history(after["_id"])[-1]["changes"]}


# Two at once.


@pytest.mark.parametrize("first", ["source", "hand", "gone"])
def test_who_comes_second_writes_nothing_and_is_told(
    sync: Syncing, by_hand: TicketsByHand, org_id: OrgId, first: str
) -> None:
    sync.page(record("a"), record("b"))
    ticket_id = sync.stored("a")["_id"]
    late = sync.plan([record("a", "late"), record("b", "late"), record("c")])
    if first == "source":
        sync.page(record("a", "first"))
    elif first == "gone":
        sync.gone("a")
    else:
        by_hand.change(caller_of(org_id), ticket_id, {"urgency": "high"}, revision=None)
    before = sync.all_stored(), sync.history(ticket_id)

    with pytest.raises(Overtaken):
        sync.write(late)

    assert (sync.all_stored(), sync.history(ticket_id)) == before


def test_two_cannot_make_the_same_ticket(sync: Syncing) -> None:
    one, other = sync.plan([record("a")]), sync.plan([record("b"), record("a", "Other")])
    sync.write(one)

    with pytest.raises(Overtaken):
        sync.write(other)

    assert [ticket["message"] for ticket in sync.all_stored()] == ["My card is lost."]


def test_a_deletion_that_was_overtaken_deletes_nothing(sync: Syncing) -> None:
    sync.page(record("a"), record("b"))
    late = sync.plan_gone(["a", "b"])
    sync.page(record("b", "still there"))

    with pytest.raises(Overtaken):
        sync.write(late)

    assert [one["deleted_at"] for one in sync.all_stored()] == [None, None]
    assert list(sync.scope[TOMBSTONES].find()) == []


def test_a_plan_of_what_was_no_longer_so_is_not_written(sync: Syncing) -> None:
    sync.page(record("a"))
    row, key = record("a", "Other").ticket(), "id:a"

    for known in ({key: "another hash"}, {key: sync.stored("a")["content_hash"], "id:never": "x"}):
        rows = [row, record("never").ticket()] if "id:never" in known else [row]
        late = plan_rows(sync.scope, rows, known, {}, source_id=sync.source_id, job_id=late_job(), now=sync.now)
        assert late.is_overtaken
        with pytest.raises(Overtaken):
            late.write(sync.scope)


def late_job() -> Any:
    return new_id()


def test_of_two_that_write_at_once_and_try_again_no_change_is_lost(sync: Syncing) -> None:
    sync.page(record("a", "0", tags=[]))
    rounds, start = 15, threading.Barrier(2)

    def write(field: str) -> None:
        source = Syncing(sync.scope, sync.source_id, sync.now)
        start.wait()
        for number in range(1, rounds + 1):
            until_written(lambda n=number: source.plan([record("a", "0", **{field: f"{field} {n}"})]), source)

    threads = [threading.Thread(target=write, args=(field,)) for field in ("subject", "channel")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    after = sync.stored("a")
    history = sync.history(after["_id"])
    assert (after["subject"], after["channel"]) == (f"subject {rounds}", f"channel {rounds}")
    assert after["revision"] == len(history) == 2 * rounds
    changed = [(one["field"], one["new"]) for entry in history for one in entry["changes"]]
    fields = {"subject", "channel"}
    assert sorted(changed) == sorted((field, f"{field} {n}") for field in fields for n in range(1, rounds + 1))
    assert len(former_states(after, in_order(history))) == 2 * rounds + 1


def until_written(attempt: Callable[[], Plan], source: Syncing) -> None:
    for _ in range(200):
        try:
            source.write(attempt())
        except Overtaken:
            continue
        return
    raise AssertionError("It was overtaken again and again.")


def in_order(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put changes in the order in which they were made: ids of the same millisecond may be in another."""
    order, left = list[dict[str, Any]](), list(history)
    state: dict[str, Any] = {"subject": None, "channel": None}
    while left:
        following = next(
            one
            for one in left
            if all(state[c["field"]] == c["old"] for c in one["changes"] if c["field"] in state)
        )
        left.remove(following)
        order.append(following)
        state |= {c["field"]: c["new"] for c in following["changes"] if c["field"] in state}
    return order


# Gone and back.


def test_what_is_gone_is_deleted_and_expires(sync: Syncing) -> None:
    sync.page(record("a"), record("b"))

    counts = sync.gone("a", "never")

    gone, kept = sync.stored("a"), sync.stored("b")
    assert counts == Tally(deleted=1)
    assert (gone["deleted_at"], gone["deleted_by"], gone["expires_at"]) == (
        sync.now,
        tombstones.BY_SOURCE,
        sync.now + KEPT_FOR,
    )
    assert kept["deleted_at"] is None
    assert sync.actions("a") == ["deleted"]
    assert sync.gone("a") == Tally()


def test_what_comes_back_in_time_is_the_ticket_it_was(sync: Syncing) -> None:
    sync.page(record("a"))
    before = sync.stored("a")
    sync.gone("a")

    counts = sync.page(record("a"))

    after = sync.stored("a")
    assert counts == Tally(returned=1)
    assert state_of(after) == state_of(before)
    assert after["_id"] == before["_id"]
    assert not {"expires_at", "deleted_by"} & after.keys()
    assert sync.actions("a") == ["deleted", "returned"]
    assert sync.page(record("a")) == Tally(unchanged=1)


def test_what_comes_back_late_keeps_its_id_and_its_history(sync: Syncing) -> None:
    sync.page(record("a"))
    before = sync.stored("a")
    sync.page(record("a", "Other"))
    sync.gone("a")
    sync.expire()
    assert sync.all_stored() == []

    counts = sync.page(record("a", "Back"), record("b"))

    after = sync.stored("a")
    assert counts == Tally(new=1, returned=1)
    assert (after["_id"], after["message"]) == (before["_id"], "Back")
    assert sync.actions("a") == ["updated", "deleted", "returned"]
    assert after["revision"] == 3
    assert list(sync.scope[TOMBSTONES].find()) == []


def test_a_page_of_more_words_than_one_transaction_takes_is_refused_with_the_reason(sync: Syncing) -> None:
    words = [record(str(number), different_words(f"a{number}x", 65_000)) for number in range(48)]

    with pytest.raises(JobFailed, match="smaller pages") as refused:
        sync.page(*words)

    assert refused.value.shown_code == "page-too-large"
    assert sync.all_stored() == []


def test_a_file_of_as_many_words_is_imported(importer: Any) -> None:
    words = [f"{number},{different_words(f'a{number}x', 65_000)}" for number in range(48)]

    result = importer("\n".join(["external_id,message", *words]).encode())

    assert result["new"] == 48


def test_two_sources_know_nothing_of_one_another(sync: Syncing) -> None:
    other = Syncing(sync.scope)
    sync.page(record("a"))
    other.page(record("a"))
    sync.gone("a")
    sync.expire()

    assert other.page(record("a")) == Tally(unchanged=1)
    assert other.gone("b") == Tally()
    assert sync.page(record("a")) == Tally(returned=1)


@pytest.mark.parametrize("is_expired", [False, True])
def test_what_was_deleted_by_hand_stays_so_whatever_its_source_says(
    sync: Syncing, by_hand: TicketsByHand, org_id: OrgId, *, is_expired: bool
) -> None:
    sync.page(record("a"))
    by_hand.delete(caller_of(org_id), sync.stored("a")["_id"], revision=None)
    if is_expired:
        sync.scope[TICKETS].delete_many({})

    counts = sync.page(record("a", "Other"))

    assert counts == Tally(unchanged=1) if is_expired else Tally(updated=1)
    assert all(one["deleted_at"] is not None for one in sync.all_stored())
    assert len(sync.all_stored()) == (not is_expired)


def test_a_ticket_that_is_restored_shows_what_its_source_said_last(
    sync: Syncing, by_hand: TicketsByHand, org_id: OrgId
) -> None:
    sync.page(record("a"))
    ticket_id = sync.stored("a")["_id"]
    by_hand.delete(caller_of(org_id), ticket_id, revision=None)
    sync.page(record("a", "Other"))

    by_hand.restore(caller_of(org_id), ticket_id, revision=None)

    assert sync.stored("a")["message"] == "Other"
    assert sync.page(record("a", "Other")) == Tally(unchanged=1)
    assert sync.actions("a") == ["deleted", "updated", "restored"]


def test_an_imported_row_finds_its_history_again_unless_it_was_deleted_by_hand(importer: Any) -> None:
    content = b"external_id,message\na,One\nb,Two\n"
    importer(content, source="helpdesk")
    kept, unwanted = importer.find(TICKETS)
    scope = importer.services.scope(importer.org_id)
    at = importer.services.clock.now()
    stones = [
        tombstones.tombstone(kept, deleted_by=tombstones.BY_SOURCE, at=at),
        tombstones.tombstone(unwanted, deleted_by=new_id(), at=at),
    ]
    scope.transaction(lambda inner: tombstones.lay(inner, stones))
    scope[TICKETS].delete_many({})

    result = importer(content, source="helpdesk")

    assert [one["_id"] for one in importer.find(TICKETS)] == [kept["_id"]]
    assert (result["rows"], result["new"], result["unchanged"]) == (2, 1, 1)
    assert [one["action"] for one in importer.find(HISTORY, ticket_id=kept["_id"])] == ["returned"]


def test_an_import_keeps_the_history_of_what_it_changes(importer: Any) -> None:
    importer(b"external_id,message,plan\na,One,free\n")

    importer(b"external_id,message,plan\na,URGENT! My money is gone!,free\n")

    [ticket] = importer.find(TICKETS)
    [entry] = importer.find(HISTORY)
    assert entry["ticket_id"] == ticket["_id"]
    assert {one["field"]: (one["old"], one["new"]) for one in entry["changes"]}["message"] == (
        "One",
        "URGENT! My money is gone!",
    )
    assert (ticket["urgency"], ticket["revision"]) == ("high", 1)


def test_only_a_ticket_that_says_when_it_expires_does(watched: tuple[Syncing, Sent, Any]) -> None:
    sync, _, database = watched
    sync.page(record("a"))

    expiry = database["tickets"].index_information()["expiry"]

    assert expiry["expireAfterSeconds"] == 0
    assert expiry["partialFilterExpression"] == {"expires_at": {"$type": "date"}}
    assert "expires_at" not in sync.stored("a")


@pytest.mark.slow
def test_mongodb_itself_lets_expired_tickets_go_and_keeps_the_others(
    watched: tuple[Syncing, Sent, Any],
) -> None:
    sync, _, database = watched
    sync.page(record("a"), record("b"))
    sync.gone("a")
    gone, kept = sync.stored("a"), sync.stored("b")
    sync.scope[TICKETS].update_one(
        {"_id": gone["_id"]}, {"$set": {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}}
    )
    admin = database.client.admin

    was = admin.command("setParameter", 1, ttlMonitorSleepSecs=1)["was"]
    try:
        deadline = time.monotonic() + 90
        while len(sync.all_stored()) == 2 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        admin.command("setParameter", 1, ttlMonitorSleepSecs=was)

    assert [one["_id"] for one in sync.all_stored()] == [kept["_id"]]
    sync.page(record("a"))
    assert sync.stored("a")["_id"] == gone["_id"]
    assert sync.actions("a") == ["deleted", "returned"]


def test_a_page_that_changes_too_much_at_once_is_refused_before_it_stalls_the_server(
    sync: Syncing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.tickets.sync.STORED_MAX_CHARS", 5_000)
    sync.page(*(record(f"k-{number}", "long " * 300) for number in range(4)))
    few = sync.page(*(record(f"k-{number}", "short") for number in range(3)))

    with pytest.raises(JobFailed) as refused:
        sync.page(*(record(f"k-{number}", "long " * 300) for number in range(3)), record("k-3", "y" * 5_001))
        sync.page(*(record(f"k-{number}", "other") for number in range(4)))

    assert few.updated == 3
    assert refused.value.shown_code == "page-too-large"
