"""A source: an outside API that tickets are ingested from, as everybody here sees it. No secret is in it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from common.errors import NotFound
from common.sources.collections import SOURCES
from common.tenancy.scope import OrgScope

ABSENT = "There is no such source."


@dataclass(frozen=True)
class Rate:
    """So many calls, *limit*, in any *per_s* seconds."""

    limit: int
    per_s: int


@dataclass(frozen=True)
class Source:
    """A source that is not deleted; *revision* rises with each change of it.

    *generation* rises when something else is asked for or of somebody else: where another one had got to says
    nothing any more. *rate* is what it is slowed down to, below what its host allows everybody.
    """

    source_id: str
    name: str
    connector: str
    base_url: str
    page_size: int
    rate: Rate | None
    every_minutes: int | None
    config: Mapping[str, Any]
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int
    generation: int

    @property
    def version(self) -> str:
        """Return what changes with every change of the source."""
        return f"{self.source_id}-{self.revision}"


def active(source_id: str) -> dict[str, Any]:
    """Return the condition under which a source is there."""
    return {"_id": source_id, "state": "active"}


def find_source(scope: OrgScope, source_id: str) -> Source:
    """Return a source. Raises `NotFound`, also for one that is deleted."""
    found = scope[SOURCES].find_one(active(source_id))
    if found is None:
        raise NotFound(ABSENT)
    return read_source(found)


def source_document(source: Source) -> dict[str, Any]:
    """Return *source* as MongoDB keeps it; the names in its config are a caller's, so it is kept as a text."""
    return {
        "_id": source.source_id,
        "name": source.name,
        "connector": source.connector,
        "base_url": source.base_url,
        "page_size": source.page_size,
        "rate": asdict(source.rate) if source.rate is not None else None,
        "every_minutes": source.every_minutes,
        "config": orjson.dumps(source.config).decode(),
        "created_by": source.created_by,
        "created_at": source.created_at,
        "updated_at": source.updated_at,
        "revision": source.revision,
        "generation": source.generation,
        "state": "active",
    }


def read_source(document: Mapping[str, Any]) -> Source:
    """Read MongoDB's *document*."""
    rate = document["rate"]
    return Source(
        source_id=document["_id"],
        name=document["name"],
        connector=document["connector"],
        base_url=document["base_url"],
        page_size=document["page_size"],
        rate=Rate(rate["limit"], rate["per_s"]) if rate is not None else None,
        every_minutes=document["every_minutes"],
        config=orjson.loads(document["config"]),
        created_by=document["created_by"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        revision=document["revision"],
        generation=document["generation"],
    )
