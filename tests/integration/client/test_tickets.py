"""Tickets from a program and from the command line."""

from fairway import Fairway

from common.ids import OrgId
from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.client.conftest import Run, printed


def test_tickets_from_a_program(fairway: Fairway) -> None:
    made = fairway.make_ticket("My parcel is late.", subject="Parcel", external_id="1", key="once")

    assert fairway.make_ticket("My parcel is late.", subject="Parcel", external_id="1", key="once") == made
    assert (made.source_id, made.status, made.overridden) == ("manual", "open", [])
    changed = fairway.change_ticket(made.id, status="closed", urgency="high", tags=["a"])
    assert (changed.status, changed.urgency, changed.overridden) == ("closed", "high", ["urgency"])
    assert fairway.change_ticket(made.id, urgency=None).overridden == []
    assert [one.id for one in fairway.tickets(q="parcel late", status="closed")] == [made.id]
    assert list(fairway.tickets(q="parcel", status="open")) == []
    fairway.delete_ticket(made.id)
    assert list(fairway.tickets()) == []
    (gone,) = fairway.tickets(deleted=True)
    assert gone.deleted_at is not None
    assert gone.expires_at is not None
    assert fairway.restore_ticket(made.id).deleted_at is None
    actions = [one.action for one in fairway.ticket_history(made.id)]
    assert actions == ["restored", "deleted", "edited", "edited"]


def test_tickets_from_the_command_line(run: Run) -> None:
    (made,) = printed(
        run(
            "--json", "ticket", "make", "Where is it?", "--subject", "Parcel", "--tag", "a", "--tag", "b",
            "--attributes", '{"order": "A-1"}', "--requires-action", "no",
        )
    )  # fmt: skip
    assert (made["tags"], made["attributes"], made["requires_action"]) == (["a", "b"], {"order": "A-1"}, False)

    (changed,) = printed(
        run("--json", "ticket", "change", made["id"], "--status", "closed", "--requires-action", "computed")
    )
    assert (changed["status"], changed["overridden"], changed["tags"]) == ("closed", [], ["a", "b"])
    assert [one["id"] for one in printed(run("--json", "tickets", "where", "parcel"))] == [made["id"]]
    assert printed(run("--json", "tickets", "--status", "open")) == []
    assert run("ticket", "delete", made["id"]).exit_code == 0
    assert [one["id"] for one in printed(run("--json", "tickets", "--deleted"))] == [made["id"]]
    assert printed(run("--json", "ticket", "restore", made["id"]))[0]["deleted_at"] is None
    assert printed(run("--json", "ticket", "show", made["id"]))[0]["message"] == "Where is it?"
    changes = printed(run("--json", "ticket", "history", made["id"]))
    assert [one["action"] for one in changes] == ["restored", "deleted", "edited"]
    table = run("ticket", "history", made["id"])
    assert (table.exit_code, "requires_action" in table.output) == (0, True)


def test_tickets_are_listed_by_the_name_of_their_source_or_of_their_import(
    run: Run, services: Services, org_id: OrgId, fairway: Fairway
) -> None:
    source = fairway.make_source("Ours", "github_issues", "https://api.github.com/repos/acme/website")
    made = {"Ours": source.id, "desk": "desk", source.id: source.id}
    for source_id in {*made.values()}:
        ticket = fairway.make_ticket("Where is it?").id
        services.scope(org_id)[TICKETS].update_one({"_id": ticket}, {"$set": {"source_id": source_id}})

    for name, source_id in made.items():
        assert [one["source_id"] for one in printed(run("--json", "tickets", "--source", name))] == [source_id]


def test_a_source_without_tickets_is_named_on_standard_error(run: Run) -> None:
    nobodys, searched = run("tickets", "--source", "Nobodys"), run("tickets", "--source", "Nobodys", "parcel")

    assert (nobodys.exit_code, nobodys.stderr) == (0, "no ticket of a source called Nobodys\n")
    assert searched.stderr == "no such ticket of a source called Nobodys\n"


def test_who_takes_an_external_id_twice_is_told_of_the_ticket_that_has_it(run: Run) -> None:
    (made,) = printed(run("--json", "ticket", "make", "Where is it?", "--external-id", "A-1"))

    refused = run("ticket", "make", "Where?", "--external-id", "A-1")

    assert refused.exit_code == 3
    assert f"See: /v1/tickets/{made['id']} (`fairway ticket show {made['id']}`)\n" in refused.stderr


def test_tags_replace_others_only_where_there_are_some(run: Run) -> None:
    assert "in place" not in run("ticket", "make", "--help").output
    assert "in place" in run("ticket", "change", "--help").output
