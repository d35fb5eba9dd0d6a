"""What is known of a content: its media type, and what was cheap to read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN_TYPE = "application/octet-stream"
FOUND_MAX_BYTES = 8 * 1024


@dataclass(frozen=True)
class Findings:
    """What an examination found.

    *found* is plain JSON of at most `FOUND_MAX_BYTES`: `rows`, `columns`, `encoding`, `pages`, `width_px` and the
    like; `examined_bytes` is in it if that was not the whole content. *problem* is a sentence if the content could
    not be examined; the media type is then the best that is known.
    """

    media_type: str
    found: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None

    @property
    def is_readable(self) -> bool:
        """Tell whether nothing was in the way of the examination."""
        return self.problem is None
