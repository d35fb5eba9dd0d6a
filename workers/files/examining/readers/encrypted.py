"""Office documents that are encrypted as a whole."""

from typing import NoReturn

from workers.files.examining.content import Content, Unreadable


def read(content: Content) -> NoReturn:  # noqa: ARG001 (as every reader is called)
    """Raise `Unreadable`: without the password there is nothing to see."""
    raise Unreadable("The document is protected by a password.")
