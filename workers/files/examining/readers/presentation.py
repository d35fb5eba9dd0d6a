"""Presentations: how many slides they have."""

import re
from collections.abc import Mapping
from typing import Any

from workers.files.examining.content import Content
from workers.files.examining.zip_index import open_zip

_SLIDE = re.compile(r"ppt/slides/slide\d{1,7}\.xml")


def read(content: Content) -> Mapping[str, Any]:
    """Return `slides`, each of which is a part of the file. Raises `Unreadable` if the file is damaged."""
    with open_zip(content) as archive:
        return {"slides": sum(1 for name in archive.NameToInfo if _SLIDE.fullmatch(name))}
