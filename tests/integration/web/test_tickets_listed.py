"""Tickets listed: by what is known of them and by their words, page by page, at the cost of what is shown."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from common.ids import OrgId, new_id
from common.services import Services
from common.tenancy.org_collection import OrgCollection
from common.tenancy.scope import OrgScope
from common.tickets import answers, selection
from common.tickets.collections import TICKETS
from common.tickets.selection import Place, Selection
from common.tickets.ticket import document, ticket
from common.tickets.words import Words
from tests.integration.web.conftest import Member, problem_of
from tests.integration.web.ticket_makers import change, make_ticket, messages

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def put(scope: OrgScope, number: int, **fields: Any) -> dict[str, Any]:
    """Put a ticket there that was made *number* minutes after the beginning."""
    texts = {"external_id": str(number), "message": f"ticket {number}", "attributes": {}}
    made = document(ticket(texts), source_id="desk", now=BEGIN + timedelta(minutes=number)) | fields
    scope[TICKETS].insert_one(made)
    return made


@pytest.fixture
def scope(services: Services, org_id: OrgId) -> OrgScope:
    """Return the organization's data."""
    return services.scope(org_id)


def pages(who: Member, path: str) -> Iterator[list[dict[str, Any]]]:
    """Go through the pages of a list by their links."""
    while path:
        page = who("GET", path)
        assert page.status_code == 200, page.text
        yield page.json["items"]
        path = page.headers["Link"].split(">")[0][1:] if page.json["next_cursor"] else ""


def pages_of(who: Member, **query: Any) -> Iterator[list[dict[str, Any]]]:
    """Go through the pages of a list that is asked for with *query*."""
    yield from pages(who, f"/v1/tickets?{urlencode(query)}")


def test_each_filter_finds_what_has_it_and_all_hold_together(admin: Member, scope: OrgScope) -> None:
    chance = random.Random(9)
    known = [
        put(
            scope,
            number,
            status=chance.choice(["open", "closed"]),
            urgency=chance.choice(["low", "high", None]),
            sentiment=chance.choice(["negative", "positive"]),
            requires_action=chance.choice([True, False]),
            source_id=chance.choice(["a", "b"]),
        )
        for number in range(80)
    ]
    wanted = {
        "status": "open",
        "urgency": "high",
        "sentiment": "negative",
        "requires_action": True,
        "source_id": "a",
    }

    for names in ([one] for one in wanted):
        asked = {name: str(wanted[name]).lower() if name == "requires_action" else wanted[name] for name in names}
        expected = [one["message"] for one in known[::-1] if all(one[name] == wanted[name] for name in names)]
        assert messages(admin, limit=200, **asked) == expected
    expected = [one["message"] for one in known[::-1] if all(one[name] == wanted[name] for name in wanted)]
    assert messages(admin, **{**wanted, "requires_action": "true"}) == expected != []


def test_the_bounds_are_of_when_it_was_made(admin: Member, scope: OrgScope) -> None:
    for number in range(6):
        put(scope, number)
    since, until = ((BEGIN + timedelta(minutes=at)).isoformat() for at in (2, 4))

    assert messages(admin, **{"from": since, "to": until}) == ["ticket 3", "ticket 2"]


@pytest.mark.parametrize(
    "query", ["", "&q=ticket", "&status=open", "&q=ticket&status=open&from=2020-01-01T00:00:00Z"]
)
def test_pages_have_each_ticket_once_also_of_one_moment_and_while_more_come(
    admin: Member, scope: OrgScope, query: str
) -> None:
    made = [
        put(scope, number, created_at=BEGIN + timedelta(minutes=number // 5), message=f"ticket {number}")["_id"]
        for number in range(23)
    ]
    seen = list[str]()

    for page in pages(admin, f"/v1/tickets?limit=4{query}"):
        seen += [one["id"] for one in page]
        put(scope, 1_000 + len(seen))

    in_order = [made[start : start + 5][::-1] for start in range(0, 23, 5)]
    assert seen == [one for moment in in_order[::-1] for one in moment]


def test_a_cursor_is_of_one_search_only(admin: Member, scope: OrgScope) -> None:
    for number in range(3):
        put(scope, number)
    cursor = admin("GET", "/v1/tickets?limit=1&q=ticket").json["next_cursor"]

    for query in ("q=other", "q=ticket&deleted=true", "status=open"):
        problem = problem_of(admin("GET", f"/v1/tickets?limit=1&{query}&cursor={cursor}"), 422)
        assert problem["errors"][0]["parameter"] == "cursor"


TEXTS = {
    "order": "Where is my ORDER? It was due on Monday.",
    "refund": "I want a refund, not an order!",
    "minus": "use rm -rf or -foo",
    "accents": "Größe in Ünïcödé, naïve café",
    "quoted": 'They said "call back later" to me.',
    "address": "Write to ada@acme.example about A-1001.",
    "chinese": "我要退款 谢谢",
    "hindi": "मुझे हिन्दी चाहिए",
}


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("order", {"order", "refund"}),
        ("ORDER refund", {"refund"}),
        ("order missing", set()),
        ("order -refund", {"refund"}),
        ("-order", {"order", "refund"}),
        ("-foo", {"minus"}),
        ('"rm -rf"', {"minus"}),
        ("(order?)", {"order", "refund"}),
        ("हिन्दी", {"hindi"}),
        ("ord", set()),
        ("unicode", {"accents"}),
        ("CAFE", {"accents"}),
        ("größe", {"accents"}),
        ('"call back later"', {"quoted"}),
        ('"back call"', set()),
        ("back call", {"quoted"}),
        ('"call back', {"quoted"}),
        ('call"back', {"quoted"}),
        ("ada@acme.example", {"address"}),
        ("a-1001", {"address"}),
        ("谢谢", {"chinese"}),
        ("order - ! refund", {"refund"}),
        ("def order", set()),
        ("rich order", set()),
        ("subject order", {"order"}),
        ("$where", {"order"}),
        (".*", None),
        ("!!!", None),
        ('""', None),
        (" ", None),
        ("refund\x00", {"refund"}),
        ('"refund\x00"', set()),
        ("x" * 200, set()),
        ("x" * 201, None),
        ("\u202erefund", {"refund"}),
        ("🏳0🌈", set()),
    ],
)
def test_q_is_words_that_a_ticket_has_in_subject_or_message(
    admin: Member, scope: OrgScope, q: str, found: set[str] | None
) -> None:
    for number, (name, text) in enumerate(TEXTS.items()):
        subject = "The subject" if name == "order" else None
        put(scope, number, message=text, subject=subject, channel=name)

    answer = admin("GET", "/v1/tickets", query_string={"q": q})

    if found is None:
        assert problem_of(answer, 422)["errors"][0]["parameter"] == "q"
    else:
        assert answer.status_code == 200, answer.text
        assert {one["channel"] for one in answer.json["items"]} == found


@pytest.mark.parametrize("rare_most", [0, 5, 1_000])
def test_a_search_finds_the_same_and_pages_the_same_however_rare_the_words_are(
    admin: Member, scope: OrgScope, monkeypatch: pytest.MonkeyPatch, rare_most: int
) -> None:
    monkeypatch.setattr(selection, "RARE_MOST", rare_most)
    chance = random.Random(3)
    vocabulary = ("the", "order", "party", "art", "gone", "reorder", "undergone")
    made = [
        put(scope, number, message=" ".join(chance.choices(vocabulary, k=4)), subject=chance.choice(["the", None]))
        for number in range(150)
    ]
    asked = {
        "art gone": r"\bart\b.*\bgone\b|\bgone\b.*\bart\b",
        "order": r"\border\b",
        "the order": r"\bthe\b.*\border\b|\border\b.*\bthe\b",
        '"order art"': r"\border art\b",
        "undergone reorder": r"\breorder\b.*\bundergone\b|\bundergone\b.*\breorder\b",
    }
    for q, pattern in asked.items():
        texts = [(one["message"], f"{one['message']} {one['subject']}") for one in reversed(made)]
        expected = [message for message, both in texts if re.search(pattern, both)]
        found = [one["message"] for page in pages_of(admin, q=q, limit=3) for one in page]
        assert found == expected != [], q


def test_words_are_looked_up_as_they_are_now(admin: Member) -> None:
    made = make_ticket(admin, "My parcel is late.", subject="Parcel")
    admin("PATCH", f"/v1/tickets/{made['id']}", json={"message": "All is well.", "subject": None})

    assert messages(admin, q="parcel") == []
    assert messages(admin, q="well") == ["All is well."]


def test_a_search_finds_nothing_of_others(admin: Member, stranger: Member) -> None:
    make_ticket(stranger, "a secret of theirs")

    assert messages(admin, q="secret") == []
    assert messages(stranger, q="secret") == ["a secret of theirs"]


def test_a_search_that_takes_too_long_is_503_with_advice(
    admin: Member, scope: OrgScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope[TICKETS].insert_many(
        document(
            ticket({"external_id": str(number), "message": "the word", "attributes": {}}), source_id="s", now=BEGIN
        )
        for number in range(20_000)
    )
    monkeypatch.setattr(selection, "SEARCH_S", 0.01)

    answer = admin("GET", "/v1/tickets?q=word")

    assert "leave q out" in problem_of(answer, 503)["detail"]
    assert answer.headers["Retry-After"]


def test_judging_takes_of_the_time_of_a_search_too(
    admin: Member, scope: OrgScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope[TICKETS].insert_many(
        document(
            ticket({"external_id": str(number), "message": "word", "attributes": {}}),
            source_id="s",
            now=BEGIN,
        )
        for number in range(40)
    )
    judged = list[str | None]()

    def take_a_second(_: Words, texts: tuple[str | None, ...]) -> bool:
        judged.append(texts[1])
        return False

    monkeypatch.setattr(Words, "are_in", take_a_second)
    monkeypatch.setattr(selection, "monotonic", lambda: float(len(judged)))

    answer = admin("GET", "/v1/tickets?q=word")

    assert "leave q out" in problem_of(answer, 503)["detail"]
    assert len(judged) <= selection.SEARCH_S + 1


def put_large_ones(scope: OrgScope, count: int) -> list[str]:
    """Put tickets there of 1.2 MB each; return their ids, the newest first."""
    attributes = {str(number): "ё" * 8_192 for number in range(75)}
    return [put(scope, number, message="the word", attributes=attributes)["_id"] for number in range(count)][::-1]


@pytest.mark.parametrize("query", ["", "&q=word"])
def test_a_page_ends_early_where_tickets_are_large_and_the_next_goes_on(
    admin: Member, scope: OrgScope, query: str
) -> None:
    made = put_large_ones(scope, 15)

    found = list(pages(admin, f"/v1/tickets?limit=200{query}"))

    assert [len(page) for page in found] == [6, 6, 3]
    assert [one["id"] for page in found for one in page] == made


def test_a_page_has_one_ticket_however_large(
    admin: Member, scope: OrgScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "ANSWER_MOST_BYTES", 10)
    made = [put(scope, number)["_id"] for number in range(3)]

    found = list(pages(admin, "/v1/tickets?limit=200"))

    assert [[one["id"] for one in page] for page in found] == [[one] for one in made[::-1]]


def test_a_history_ends_early_too(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER_MOST_BYTES", 10)
    made = make_ticket(admin)
    for subject in ("one", "two"):
        change(admin, made["id"], subject=subject)

    found = list(pages(admin, f"/v1/tickets/{made['id']}/history"))

    assert [[one["changes"]["subject"]["new"] for one in page] for page in found] == [["two"], ["one"]]


@pytest.mark.parametrize("q", ["word", "the word"])
def test_a_search_reads_whole_only_what_it_shows(
    admin: Member, scope: OrgScope, q: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        put(scope, number, message="the word")
    asked = list[tuple[Any, Any]]()
    find = OrgCollection.find

    def watch(self: OrgCollection, where: Any = None, **options: Any) -> Iterator[dict[str, Any]]:
        asked.append((where, options.get("projection")))
        return find(self, where, **options)

    monkeypatch.setattr(OrgCollection, "find", watch)

    assert len(messages(admin, q=q, limit=2)) == 2

    judged = [projection for where, projection in asked if "$text" in where]
    assert judged != []
    assert all(set(one) == {"created_at", "subject", "message"} for one in judged)


@pytest.fixture
def skewed(scope: OrgScope) -> OrgScope:
    """Put tickets there of which what is looked for is rare, with many deleted ones between."""
    chance = random.Random(4)
    rows = list[dict[str, Any]]()
    for number in range(12_000):
        made = document(
            ticket({"external_id": str(number), "message": "m", "attributes": {}}),
            source_id=chance.choices(["large", "middle", "small"], [94, 5, 1])[0],
            now=BEGIN + timedelta(seconds=number),
        )
        made["status"] = chance.choices(["open", "closed", "pending"], [1, 98, 1])[0]
        made["urgency"] = chance.choices(["high", "low", "medium"], [1, 95, 4])[0]
        if 6_000 < number < 11_000 or number % 50 == 0:
            made |= {"deleted_at": BEGIN, "expires_at": BEGIN + timedelta(days=3_650)}
        rows.append(made)
    scope[TICKETS].insert_many(rows)
    return scope


ASKED = (
    Selection(),
    Selection(status="open"),
    Selection(status="closed"),
    Selection(urgency="high"),
    Selection(urgency="low"),
    Selection(source_id="small"),
    Selection(source_id="middle"),
    Selection(source_id="large"),
    Selection(deleted=True),
    Selection(since=BEGIN + timedelta(seconds=3_000), until=BEGIN + timedelta(seconds=3_600)),
    Selection(status="open", since=BEGIN, until=BEGIN + timedelta(seconds=5_900)),
)


def test_a_list_examines_about_what_it_shows(skewed: OrgScope, services: Services, org_id: OrgId) -> None:
    for asked in ASKED:
        first = selection.page(skewed, asked, before=None, limit=51).documents
        middle = first[25]
        for before in (None, Place(middle[asked.order[0][0]], middle["_id"])):
            told = explained(services, org_id, asked, before)
            assert told["nReturned"] >= 20, asked
            assert told["totalKeysExamined"] <= 3 * told["nReturned"], asked
            assert told["totalDocsExamined"] <= 3 * told["nReturned"], asked


def explained(services: Services, org_id: OrgId, asked: Selection, before: Place | None) -> dict[str, Any]:
    """Return what MongoDB tells of a page of 51."""
    database = services.control._client[services.registry.pooled(org_id).database]
    where = {"org_id": org_id, **asked.where(before)}
    find = {"find": "tickets", "filter": where, "sort": dict(asked.order), "limit": 51}
    found: dict[str, Any] = database.command("explain", find, verbosity="executionStats")["executionStats"]
    return found


def test_a_place_that_nobody_gave_is_refused(admin: Member, scope: OrgScope) -> None:
    put(scope, 1)
    for cursor in ("x", new_id(), "W10", "WzEsMl0", "W1sxXSxbMl1d"):
        problem = problem_of(admin("GET", f"/v1/tickets?cursor={cursor}"), 422)
        assert [one["parameter"] for one in problem["errors"]] == ["cursor"], cursor
