"""Identifiers: UUIDv7, so that they sort by time and inserts append (RFC 9562)."""

import re
from datetime import datetime
from typing import NewType

import uuid_utils

OrgId = NewType("OrgId", str)
JobId = NewType("JobId", str)
UserId = NewType("UserId", str)

PLATFORM = OrgId("platform")
"""The reserved organization of the platform's own jobs and operators; nobody signs in to it as a tenant."""

_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def new_id() -> str:
    """Make a UUIDv7 in its canonical text form."""
    return str(uuid_utils.uuid7())


def first_id_at(instant: datetime) -> str:
    """Return the smallest id that can be made at *instant*: what was made before it has a smaller one."""
    ms = max(0, int(instant.timestamp() * 1000))
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-000000000000"


def is_id(text: str) -> bool:
    """Tell whether *text* is a UUIDv7 in canonical form; anything else can't name a thing of ours."""
    return _SHAPE.match(text) is not None
