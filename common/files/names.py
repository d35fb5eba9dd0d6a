"""Names of files: what people see, and never a path of ours. It may be a relative one, as `reports/may.pdf`."""

import re
import unicodedata

NAME_MAX_CHARS = 1_000
PART_MAX_CHARS = 255
DEPTH_MAX = 50
_JOINERS = str.maketrans("", "", "\u200c\u200d")
"""What holds some emoji and some scripts together; nothing else that is invisible is taken."""
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_name(text: str) -> str:
    """Return *text* in its composed form (NFC). Raises `ValueError`, whose sentence says what is wrong with it.

    Refused is what could be taken for another place or another name: absolute paths, steps upwards, backslashes,
    control characters and those that turn the direction of writing.
    """
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= NAME_MAX_CHARS:
        raise ValueError(f"a name has 1 to {NAME_MAX_CHARS} characters")
    if not name.translate(_JOINERS).isprintable():
        raise ValueError("a name has no control characters and none that are invisible")
    if "\\" in name or name.startswith("/") or _DRIVE.match(name):
        raise ValueError("a name is no absolute path and has no backslash")
    parts = name.split("/")
    if len(parts) > DEPTH_MAX or any(part in {"", ".", ".."} or len(part) > PART_MAX_CHARS for part in parts):
        raise ValueError(f"a name's parts have 1 to {PART_MAX_CHARS} characters, and none is . or ..")
    return name


def last_part(name: str) -> str:
    """Return what a download of *name* is called."""
    return name.rpartition("/")[2]
