"""Text documents: how many pages they had when they were last saved, if whoever saved them wrote it down."""

import re
from collections.abc import Mapping
from typing import Any

from workers.files.examining.content import Content
from workers.files.examining.zip_index import open_zip, read_member

_PROPERTIES_MAX_BYTES = 64 * 1024
# Two numbers do not need a parser, and what is not parsed has no entities.
_PAGES = re.compile(rb"<(?:\w+:)?Pages>\s*(\d{1,7})\s*<")
_PAGE_COUNT = re.compile(rb"page-count=\"(\d{1,7})\"")


def read(content: Content) -> Mapping[str, Any]:
    """Return `pages`, or nothing. Raises `Unreadable` if the document is damaged."""
    with open_zip(content) as archive:
        saved = _PAGES.search(read_member(archive, "docProps/app.xml", _PROPERTIES_MAX_BYTES))
        saved = saved or _PAGE_COUNT.search(read_member(archive, "meta.xml", _PROPERTIES_MAX_BYTES))
    return {"pages": int(saved[1])} if saved else {}
