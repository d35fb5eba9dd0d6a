"""How much of a list is read for one answer: what is shown may be large, and an answer stays bounded."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bson

ANSWER_MOST_BYTES = 8 * 1024 * 1024
"""After how many bytes of documents a page ends, though more were asked for."""


@dataclass(frozen=True)
class Part:
    """Documents of a list in its order; *is_cut* tells that more follow, which were left out for their size."""

    documents: list[dict[str, Any]]
    is_cut: bool = False


def part_of(documents: Iterable[dict[str, Any]]) -> Part:
    """Take what one answer may hold, at least the first; what comes behind that is not read."""
    taken, size_bytes = list[dict[str, Any]](), 0
    for one in documents:
        size_bytes += len(bson.encode(one))
        if taken and size_bytes > ANSWER_MOST_BYTES:
            return Part(taken, is_cut=True)
        taken.append(one)
    return Part(taken)
