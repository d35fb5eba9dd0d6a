"""Zips: how many entries they have and how large they say these are. None is unpacked."""

from collections.abc import Mapping
from typing import Any

from workers.files.examining.content import Content
from workers.files.examining.zip_index import measure


def read(content: Content) -> Mapping[str, Any]:
    """Return `entries`, `unpacked_bytes` as the archive claims, and `encrypted_entries` if there are any.

    Raises `Unreadable` if the archive's index is damaged or too large.
    """
    index = measure(content)
    found = {"entries": index.entries, "unpacked_bytes": index.unpacked_bytes}
    return found | ({"encrypted_entries": index.encrypted} if index.encrypted else {})
