"""The program in docs/clients.md does what is said of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from fairway import Fairway

from common.config import Settings
from common.services import Services
from tests.source_server import Answer, Source
from workers import runner

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
PASSWORD = "a good password"
ISSUE = {
    "number": 1,
    "title": "Broken link",
    "body": "The link is broken.",
    "state": "open",
    "labels": [],
    "created_at": "2026-01-31T09:30:00Z",
    "updated_at": "2026-01-31T09:30:00Z",
}


@pytest.fixture
def source() -> Iterator[Source]:
    """Return a repository with one issue."""
    with Source().serving() as served:
        served.interfere = lambda _call, _number: Answer(body=orjson.dumps([ISSUE]))
        yield served


@pytest.fixture
def services(settings: Settings, source: Source) -> Iterator[Services]:
    """Return the services of a process that may call the repository."""
    runner.discover()
    made = Services(settings.model_copy(update={"ingest_allowed_hosts": (source.host,)}))
    made.prepare()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a file of tickets is."""
    (tmp_path / "tickets.csv").write_bytes(b"message,external_id\nhello,1\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("working", "folder")
def test_the_program_in_the_documentation_imports_ingests_and_lists(
    source: Source,
    wire: httpx.WSGITransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Fairway("http://test", transport=wire) as nobody:
        made = nobody.sign_up("Acme", email="ada@acme.example", password=PASSWORD)
    with Fairway("http://test", token=made.job_token, transport=wire) as reader:
        assert reader.wait(made.job.id, within_s=20).result["slug"] == "acme"
    real = Fairway.__init__
    monkeypatch.setattr(Fairway, "__init__", lambda *args, **options: real(*args, **options | {"transport": wire}))
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    repository = f"{source.url}/repos/acme/website"
    lines: list[str] = []
    given = {"url": "http://test", "password": PASSWORD, "token": "t", "repository": repository}

    exec(program, {**given, "print": lambda *shown: lines.append(" ".join(map(str, shown)))})  # noqa: S102

    assert "'new': 1" in lines[0]
    assert "state succeeded" in lines
    assert lines[-1].startswith("2026-01-31T09:30:00.000Z ")
    assert lines[-1].endswith(" The link is broken.")
