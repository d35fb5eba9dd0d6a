"""What a room may be called and described as: texts that people see, and that show all that is in them."""

import unicodedata

NAME_MAX_CHARS = 200
DESCRIPTION_MAX_CHARS = 2_000
_JOINERS = str.maketrans("", "", "\u200c\u200d")
"""What holds some emoji and some scripts together; nothing else that is invisible is taken."""
_LINES = str.maketrans("", "", "\n\t")


def room_name(text: str) -> str:
    """Return *text* in its composed form (NFC). Raises `ValueError`, whose sentence says what is wrong with it."""
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= NAME_MAX_CHARS:
        raise ValueError(f"a name has 1 to {NAME_MAX_CHARS} characters")
    shown = name.translate(_JOINERS)
    if not shown.isprintable():
        raise ValueError("a name has no control characters and none that are invisible")
    if not shown or shown != shown.strip():
        raise ValueError("a name begins and ends with something that shows")
    return name


def room_description(text: str) -> str:
    """Return *text* in its composed form (NFC); it may have lines and tabs. Raises like `room_name`."""
    description = unicodedata.normalize("NFC", text)
    if len(description) > DESCRIPTION_MAX_CHARS:
        raise ValueError(f"a description has at most {DESCRIPTION_MAX_CHARS} characters")
    if not description.translate(_JOINERS).translate(_LINES).isprintable():
        raise ValueError("a description has no control characters and none that are invisible")
    return description
