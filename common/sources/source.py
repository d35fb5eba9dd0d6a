"""A source: an outside API that tickets are ingested from, as everybody here sees it. No secret is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
