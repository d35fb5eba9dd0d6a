"""Ids in paths: what has not the shape of one names nothing, and is absent like what never was."""

from common.errors import NotFound
from common.ids import is_id


def known_id(text: str, what: str) -> str:
    """Return *text* if it can be the id of a *what*. Raises `NotFound`."""
    if not is_id(text):
        raise NotFound(f"There is no such {what}.")
    return text
