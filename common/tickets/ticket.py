"""A ticket: the fields a file may give, the document it is kept as, and what the API shows of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from common.clock import rfc3339
from common.ids import new_id
from common.tickets.attributes import from_stored

TICKET_FIELDS: frozenset[str] = frozenset(
    {"external_id", "customer_id", "channel", "subject", "message", "status", "tags", "created_at"}
)
"""The fields that a column can be mapped to."""

STATUSES = ("open", "pending", "resolved", "closed")
DEFAULT_SOURCE = "import"
_DIGEST_BYTES = 20
_SHOWN_AS_THEY_ARE = (
    "source_id", "external_id", "customer_id", "channel", "subject", "message", "status", "tags",
    "urgency", "sentiment", "requires_action", "classifier",
)  # fmt: skip
_INSTANTS = ("created_at", "updated_at", "deleted_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One row that is fit to be a ticket. *fields* holds what the row said, as it is stored, and no more."""

    natural_key: str
    content_hash: str
    fields: Mapping[str, Any]
    size_bytes: int


def ticket(fields: Mapping[str, Any]) -> Ticket:
    """Give *fields* their natural key and content hash.

    The key is the external id, or else the content itself; the prefix keeps one from posing as the other.
    Raises `UnicodeError` if a text can't be stored (a lone surrogate).
    """
    try:
        content = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise UnicodeError(str(error)) from error
    content_hash = hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()
    external_id = fields.get("external_id")
    key = f"content:{content_hash}" if external_id is None else f"id:{external_id}"
    return Ticket(key, content_hash, fields, len(content))


def document(row: Ticket, *, source_id: str, now: datetime) -> dict[str, Any]:
    """Return the whole document of a new ticket; what no row says and nothing has computed is null."""
    return {
        "_id": new_id(),
        "source_id": source_id,
        "natural_key": row.natural_key,
        "content_hash": row.content_hash,
        "external_id": None,
        "customer_id": None,
        "channel": None,
        "subject": None,
        "status": "open",
        "tags": [],
        "urgency": None,
        "sentiment": None,
        "requires_action": None,
        "classifier": None,
        "attributes": {},
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
        "revision": 0,
        **row.fields,
    }


def public(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return *stored* as the API shows a ticket."""
    shown: dict[str, Any] = {"id": stored["_id"]}
    for name in _SHOWN_AS_THEY_ARE:
        shown[name] = stored[name]
    shown["overridden"] = stored.get("overridden") or []
    shown["attributes"] = from_stored(stored["attributes"])
    for name in _INSTANTS:
        shown[name] = rfc3339(stored[name]) if stored.get(name) else None
    here = f"/v1/tickets/{stored['_id']}"
    shown["links"] = {"self": here, "history": f"{here}/history"}
    return shown
