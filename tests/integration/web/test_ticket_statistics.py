"""Statistics over HTTP: what they show, whose tickets, and which questions are refused."""

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.ticket_makers import make_ticket

PATH = "/v1/analytics/tickets"
URGENT = "URGENT!! This is terrible, my card was stolen, block it immediately!"


def ask(who: Member, **query: Any) -> dict[str, Any]:
    answer = who("GET", f"{PATH}?{urlencode({name.rstrip('_'): value for name, value in query.items()})}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def test_nothing_comes_to_nothing(admin: Member) -> None:
    found = ask(admin)

    assert found["total"] == found["requires_action"] == found["response_time"]["tickets"] == 0
    assert found["by_status"] == {"open": 0, "pending": 0, "resolved": 0, "closed": 0}
    assert found["top_keywords"] == found["at_risk_customers"] == []
    assert len(found["daily_trend"]) == 31
    assert found["response_time"]["p50_s"] is None


def test_tickets_are_counted_as_they_come_change_and_go(admin: Member) -> None:
    made = [make_ticket(admin, URGENT, customer_id="c-9") for _ in range(3)]
    make_ticket(admin, "Thanks, all is well.")
    assert admin("PATCH", f"/v1/tickets/{made[0]['id']}", json={"status": "resolved"}).status_code == 200
    assert admin("DELETE", f"/v1/tickets/{made[1]['id']}").status_code == 204

    found = ask(admin, tz="Europe/Berlin")

    assert found["total"] == sum(day["total"] for day in found["daily_trend"]) == 3
    assert sum(hour["total"] for hour in found["hourly_trend"]) == 3
    assert found["by_status"] == {"open": 2, "pending": 0, "resolved": 1, "closed": 0}
    assert found["by_urgency"]["high"] == found["by_sentiment"]["negative"] == 2
    assert found["at_risk_customers"] == [{"customer_id": "c-9", "tickets": 2}]
    assert {"keyword": "card", "tickets": 2} in found["top_keywords"]
    assert found["response_time"]["tickets"] == 1
    assert ask(admin, source_id="manual")["total"] == 3
    assert ask(admin, source_id="another")["total"] == 0


def test_another_organization_has_statistics_of_its_own(admin: Member, stranger: Member) -> None:
    make_ticket(admin, URGENT)

    assert ask(stranger)["total"] == 0


def test_an_hour_that_comes_twice_is_two_and_one_that_is_left_out_is_none(admin: Member) -> None:
    spring = ask(admin, from_="2026-03-28T23:00:00Z", to="2026-03-29T22:00:00Z", tz="Europe/Berlin")
    autumn = ask(admin, from_="2026-10-24T22:00:00Z", to="2026-10-25T23:00:00Z", tz="Europe/Berlin")

    assert [hour["from"] for hour in spring["hourly_trend"][:4]] == [
        "2026-03-29T00:00:00+01:00",
        "2026-03-29T01:00:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T04:00:00+02:00",
    ]
    assert (len(spring["hourly_trend"]), len(autumn["hourly_trend"])) == (23, 25)
    assert [hour["from"] for hour in autumn["hourly_trend"][2:4]] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]
    assert [len(one["daily_trend"]) for one in (spring, autumn)] == [1, 1]


def test_a_long_range_has_no_hours(admin: Member) -> None:
    found = ask(admin, from_="2020-01-01T00:00:00Z", to="2026-01-01T00:00:00Z")

    assert found["hourly_trend"] is None
    assert len(found["daily_trend"]) == 2192


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=1990-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("from=1971-01-01T00:00:00Z&to=1971-02-01T00:00:00Z", "from"),
        ("from=2026-01-01T00:00:00Z&to=10000-01-01T00:00:00Z", "to"),
        ("from=2026-01-01T00:00:00Z&to=9999-12-31T23:59:59Z", "to"),
        ("from=0001-01-01T00:00:00%2B14:00", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("from=2026-01-01", "from"),
        ("from=", "from"),
        ("to=now", "to"),
        ("tz=Mars/Olympus", "tz"),
        ("tz=../../etc/passwd", "tz"),
        ("tz=europe/berlin", "tz"),
        ("tz=%2B02:00", "tz"),
        ("tz=", "tz"),
        ("tz=" + "A" * 65, "tz"),
        ("source_id=", "source_id"),
        ("tz[$ne]=UTC", "tz[$ne]"),
        ("from[$gt]=2026-01-01T00:00:00Z", "from[$gt]"),
        ("org_id=another", "org_id"),
        ("from=2026-01-01T00:00:00Z&from=2026-01-02T00:00:00Z", "from"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_by_its_parameter(
    admin: Member, query: str, parameter: str
) -> None:
    answer = admin("GET", f"{PATH}?{query}")

    problem = problem_of(answer, 422)
    assert parameter in [one.get("parameter") for one in problem["errors"]]
