"""Hostile texts against every JSON body and every text field: stored exactly or refused by name, never a 500.

The corpora lie beside the project where they are there; a small sample of our own always runs.
"""

import json
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder

from common.services import Services
from common.tickets.collections import TICKETS
from tests.integration.conftest import Slot
from tests.integration.web.conftest import Member

CORPORA = Path(__file__).parents[4] / "shared" / "data" / "hostile"

OWN_JSON = {
    "y_plain": b'{"email": "a@b.example"}',
    "y_twice": b'{"a": 1, "a": 2}',
    "n_nan": b"[NaN]",
    "n_open": b'{"a": ',
    "n_comma": b'{"a": 1,}',
    "n_single_quotes": b"{'a': 1}",
    "i_huge_number": b"[1e400]",
    "i_surrogate": b'["\\ud800"]',
}
OWN_STRINGS = [
    "",
    "null",
    "$state",
    "$$ROOT",
    "a.b",
    "\x00",
    "İ",
    "ﬀ",
    "\u202etxt",
    "=cmd|x",
    "{{7*7}}",
    "🏳0🌈",
    "x" * 5_000,
]


@pytest.fixture(params=[pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)])
def every(request: pytest.FixtureRequest) -> int:
    """Return the step through a corpus: a part of it, or (slow) the whole."""
    return int(request.param)


def json_texts(every: int) -> Iterator[tuple[str, bytes]]:
    """Give our own texts, and every so many-th of the corpus."""
    yield from OWN_JSON.items()
    for path in sorted(CORPORA.glob("json/test_parsing/*.json"))[::every]:
        yield path.name, path.read_bytes()


def strings(every: int) -> list[str]:
    """Return our own strings, and every so many-th of the corpus."""
    corpus = CORPORA / "strings" / "blns.json"
    found = json.loads(corpus.read_text(encoding="utf-8")) if corpus.exists() else []
    return [*OWN_STRINGS, *found[::every]]


@pytest.mark.parametrize("path", ["/v1/organizations", "/v1/auth/token"])
def test_every_json_text_is_read_or_refused_for_what_it_is(
    anonymous: FlaskClient, services: Services, path: str, every: int
) -> None:
    for name, text in json_texts(every):
        answer = anonymous.post(path, data=text, content_type="application/json")

        allowed = {"y": {422}, "n": {400}, "i": {400, 422}}[name[0]]
        assert answer.status_code in allowed, (name, answer.status_code, answer.text)
        assert answer.content_type == "application/problem+json"
    assert services.control.jobs.count_documents({}) == services.control.slugs.count_documents({}) == 0


@pytest.mark.parametrize("field", ["name", "slug", "email", "password"])
def test_every_string_in_a_sign_up_is_taken_or_refused_by_name(
    anonymous: FlaskClient, services: Services, field: str, every: int
) -> None:
    for number, text in enumerate(strings(every)):
        admin = {"email": f"a{number}@b.example", "password": "a good password"}
        body = {"name": "Acme", "slug": f"acme{number}", "admin": admin}
        body.update({field: text}) if field in {"name", "slug"} else admin.update({field: text})
        if field in {"name", "email"}:
            body["tier"] = "free"

        answer = anonymous.post("/v1/organizations", json=body)

        assert answer.status_code in {202, 409, 422}, (text, answer.text)
        if answer.status_code == 422:
            assert field in answer.json["errors"][0]["pointer"], (text, answer.text)
        if answer.status_code == 202 and field == "name":
            assert services.control.slugs.find_one({"_id": body["slug"]})["name"] == text


def test_every_string_in_a_sign_in_is_a_401_or_refused_by_name(anonymous: FlaskClient, every: int) -> None:
    for number, text in enumerate(strings(every)):
        field = ("organization", "email", "password")[number % 3]
        body = {"organization": "acme", "email": "a@b.example", "password": "wrong", field: text}

        answer = anonymous.post("/v1/auth/token", json=body)

        assert answer.status_code in {401, 422}, (text, answer.text)


def test_every_string_in_an_imported_row_comes_back_exactly_or_is_refused(
    admin: Member, services: Services, every: int
) -> None:
    rows = [
        {"external_id": str(number), "message": text, "subject": text, "note $x.y": text}
        for number, text in enumerate(strings(every))
    ]
    lines = b"\n".join(json.dumps(row).encode() for row in rows)

    answer = admin("POST", "/v1/tickets/imports", data={"file": (BytesIO(lines), "rows.jsonl")})
    assert answer.status_code == 202, answer.text
    job = Slot(services).step("tickets")

    assert (job.state, job.result["rows"]) == ("succeeded", len(rows)), job.error
    kept = {one["external_id"]: one for one in services.scope(admin.org_id)[TICKETS].find()}
    assert len(kept) + job.result["refused"] == len(rows)
    for row in rows:
        if row["external_id"] in kept:
            shown = admin("GET", f"/v1/tickets/{kept[row['external_id']]['_id']}").json
            assert (shown["message"], shown["attributes"]["note $x.y"]) == (row["message"], row["note $x.y"])


def test_every_string_elsewhere_is_no_500(admin: Member, every: int) -> None:
    for text in strings(every):
        sane = text.encode("utf-8", "replace").decode().replace("\r", "").replace("\n", "")
        answers = [
            admin("GET", "/v1/jobs", query_string={"cursor": text, "kind": text}),
            admin("GET", "/v1/tickets", query_string={"source_id": text, "from": text}),
            admin(
                "GET", "/healthz", headers={"X-Request-ID": sane.encode("latin-1", "replace").decode("latin-1")}
            ),
        ]
        assert all(answer.status_code < 500 for answer in answers), text


@pytest.mark.parametrize("field", ["mapping", "source", "filename"])
def test_every_string_beside_a_file_is_taken_or_refused_by_name(
    admin: Member, services: Services, field: str, every: int
) -> None:
    for text in strings(every):
        data = {"file": (BytesIO(b"message\nhello\n"), text if field == "filename" else "a.csv")}
        if field == "mapping":
            data["mapping"] = json.dumps({"message": text})
        if field == "source":
            data["source"] = text

        answer = admin("POST", "/v1/tickets/imports", data=data)

        assert answer.status_code in {202, 415, 422}, (text, answer.text)
    jobs = services.jobs.page(admin.org_id, limit=10_000)
    blobs = {job.payload["blob_id"] for job in jobs}
    assert {path.name for path in (services.settings.data_dir / "blobs").rglob("*-*")} == blobs


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (
            b"--b\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n\r\nhal",
            "multipart/form-data; boundary=b",
            400,
        ),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 422),
        (b"", "multipart/form-data; boundary=b", 422),
        (b"x", "multipart/form-data", 415),
        (b"message\nx\n", "text/csv", 415),
        (
            b"--b\r\nContent-Disposition: form-data; name=other\r\n\r\nx\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            422,
        ),
    ],
)
def test_a_broken_upload_is_refused_and_leaves_no_file(
    admin: Member, services: Services, body: bytes, content_type: str, status: int
) -> None:
    answer = admin("POST", "/v1/tickets/imports", data=body, content_type=content_type)

    assert answer.status_code == status, answer.text
    assert not list((services.settings.data_dir / "blobs").rglob("*-*"))


@pytest.mark.parametrize(
    ("length", "status"), [(1, 202), (70, 202), (72, 202), (100, 202), (101, 415), (2_000, 415)]
)
def test_a_boundary_may_be_a_little_longer_than_the_standard_has_it(
    admin: Member, length: int, status: int
) -> None:
    boundary = "b" * length
    part = "Content-Disposition: form-data; name=file; filename=a.csv\r\n\r\nmessage\nhello\n"
    body = f"--{boundary}\r\n{part}\r\n--{boundary}--\r\n"

    answer = admin(
        "POST", "/v1/tickets/imports", data=body, content_type=f"multipart/form-data; boundary={boundary}"
    )

    assert answer.status_code == status, answer.text


def test_a_file_that_is_too_large_is_refused_while_it_comes_in(admin: Member, services: Services) -> None:
    services.settings = services.settings.model_copy(update={"import_max_bytes": 1_000_000})
    data = {"file": (BytesIO(b"message\n" + b"x" * 1_500_000), "a.csv")}

    answer = admin("POST", "/v1/tickets/imports", data=data)

    assert answer.status_code == 413, answer.text
    assert not list((services.settings.data_dir / "blobs").rglob("*-*"))


def test_an_upload_needs_no_temporary_folder(admin: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"file": (BytesIO(b"message\n" + b"x" * 900_000), "a.csv")}
    environ = EnvironBuilder("/v1/tickets/imports", method="POST", data=data).get_environ()
    environ["HTTP_AUTHORIZATION"] = f"Bearer {admin.token}"
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent/unwritable")

    answer = admin.http.open(environ)

    assert answer.status_code == 202, answer.text
