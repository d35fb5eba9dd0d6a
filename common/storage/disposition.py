"""The one header that names a file to a browser, for our own answers and for signed addresses."""

import re
import unicodedata
from urllib.parse import quote

NAME_MAX_CHARS = 255
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"  # RFC 8187's attr-char, besides letters and digits
_UNSAFE_IN_ASCII = re.compile(r"""[^ !#$&'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]""")


def content_disposition(filename: str, inline: bool = False) -> str:  # noqa: FBT001, FBT002 (a fact, as HTTP has it)
    """Return the value of Content-Disposition that offers a file as *filename* (RFC 6266, RFC 8187).

    Always printable ASCII, whatever the name holds: control and format characters go, separators of folders become
    `_`. What ASCII can't say stands in `filename*`, beside a `filename` for clients that don't read that.
    """
    name = _plain(filename)
    plain = _UNSAFE_IN_ASCII.sub("_", name)
    value = f'{"inline" if inline else "attachment"}; filename="{plain}"'
    if plain == name:
        return value
    return f"{value}; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"


def _plain(filename: str) -> str:
    """Return *filename* without what no file should be called by, at most `NAME_MAX_CHARS` long."""
    kept = (_harmless(character) for character in unicodedata.normalize("NFC", filename))
    name = "".join(kept).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > NAME_MAX_CHARS:
        name = (stem[: NAME_MAX_CHARS - 1 - len(ending)] + dot + ending)[:NAME_MAX_CHARS]
    return name or "file"


def _harmless(character: str) -> str:
    if character in "/\\":
        return "_"
    # Controls, surrogates, and format characters, some of which turn `exe.txt` round before a reader's eyes; and
    # every kind of space and line is a space.
    match unicodedata.category(character)[0]:
        case "C":
            return ""
        case "Z":
            return " "
        case _:
            return character
