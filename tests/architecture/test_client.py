"""The client says what the document says: every operation of tenants, every parameter, every field."""

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from fairway import analytics_models, file_models, models, source_models
from flask import Flask

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "client" / "fairway"
OWN_WAY = {("get", "/v1/jobs/{}/events")}
"""What a module of its own asks: the stream of a job's changes."""


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """Return the contract."""
    found: dict[str, Any] = app.test_client().get("/openapi.json").json
    return found


def shape_of(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)


def asked_paths() -> set[str]:
    """Return every path that the client's sources name, with {} for what is put in."""
    found = set()
    for file in SOURCE.glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = ""
            if id(node) in parts:
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            if re.fullmatch(r"/v1/[\w/{}.-]*", text):
                found.add(text)
    return found


def test_each_operation_of_tenants_has_its_method(document: dict[str, Any]) -> None:
    offered = {
        shape_of(path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters" and path.startswith("/v1/") and not operation["tags"][0].startswith("Operators")
    }
    kinds = {path for path in offered if path.startswith("/v1/kinds/")}

    assert asked_paths() - {"/v1/kinds/{}/jobs"} == offered - kinds


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (models.Job, "Job"),
        (models.Progress, "Progress"),
        (models.Kind, "Kind"),
        (models.RefusedRow, "RefusedRow"),
        (models.Ticket, "Ticket"),
        (models.TicketChange, "TicketChanged"),
        (analytics_models.TicketStatistics, "TicketStatistics"),
        (analytics_models.Usage, "Usage"),
        (analytics_models.Report, "Report"),
        (source_models.Source, "Source"),
        (source_models.SourceRun, "Run"),
        (source_models.IngestionLog, "IngestionLog"),
        (source_models.RefusedRecord, "RefusedRecord"),
        (models.Counted, "Counted"),
        (models.Tokens, "Token"),
        (models.Session, "Session"),
        (models.User, "User"),
        (models.OneTime, "OneTime"),
        (models.ApiKey, "ApiKey"),
        (models.Happening, "Event"),
        (models.Archive, "Archive"),
        (file_models.Room, "Room"),
        (file_models.RoomMember, "RoomMember"),
        (file_models.File, "File"),
        (file_models.FileRoom, "FileRoom"),
        (file_models.SharedFile, "SharedFile"),
        (file_models.Entry, "Entry"),
        (file_models.Storage, "Storage"),
        (file_models.AuditLogEntry, "AuditLogEntry"),
    ],
)
def test_each_model_has_the_fields_of_its_schema(
    document: dict[str, Any], model: type[models.Model], schema: str
) -> None:
    described = document["components"]["schemas"][schema]["properties"]

    assert {field.name for field in fields(model)} == set(described)
    for field in fields(model):
        may_be_null = type(None) in get_args(field.type) or field.type is Any
        types = described[field.name].get("type")
        assert may_be_null == (types is None or "null" in types) or "$ref" in described[field.name], field.name


def test_the_states_are_those_of_the_document(document: dict[str, Any]) -> None:
    assert set(models.State.__args__) == set(
        document["components"]["schemas"]["Job"]["properties"]["state"]["enum"]
    )


def test_the_client_needs_nothing_of_the_platform() -> None:
    for file in SOURCE.glob("*.py"):
        assert not re.search(
            r"^(from|import) (common|web|workers|deploy)\b", file.read_text(encoding="utf-8"), re.MULTILINE
        )
