"""Tickets for tests, made as callers make them."""

from typing import Any

from tests.integration.web.conftest import Member

Json = dict[str, Any]


def make_ticket(who: Member, message: str = "My parcel is late.", **more: Any) -> Json:
    """Make a ticket by hand."""
    answer = who("POST", "/v1/tickets", json={"message": message, **more})
    assert answer.status_code == 201, answer.text
    made: Json = answer.get_json()
    return made


def change(who: Member, ticket_id: str, **fields: Any) -> Json:
    """Change a ticket by hand."""
    answer = who("PATCH", f"/v1/tickets/{ticket_id}", json=fields)
    assert answer.status_code == 200, answer.text
    found: Json = answer.get_json()
    return found


def show(who: Member, ticket_id: str) -> Json:
    """Return a ticket."""
    answer = who("GET", f"/v1/tickets/{ticket_id}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.get_json()
    return found


def history(who: Member, ticket_id: str, **query: Any) -> list[Json]:
    """Return the first page of what became of a ticket."""
    answer = who("GET", f"/v1/tickets/{ticket_id}/history", query_string=query)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.get_json()["items"]
    return found


def messages(who: Member, **query: Any) -> list[str]:
    """Return the messages of the tickets that a list shows first."""
    answer = who("GET", "/v1/tickets", query_string=query)
    assert answer.status_code == 200, answer.text
    return [one["message"] for one in answer.get_json()["items"]]
