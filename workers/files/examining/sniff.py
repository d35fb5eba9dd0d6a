"""Of which type a content is, by what is in it: never by its name.

nothing             application/x-empty
a zip               its parts tell: Office, OpenDocument, EPUB, Java, or just a zip
an OLE container    its streams tell: the Office of before 2007, messages, encrypted Office
text                ours for CSV, JSON and XML, which libmagic often misses; else libmagic's
anything else       libmagic's
"""

import codecs

import pylibmagic  # noqa: F401  # isort: skip (brings the library that the next one loads)
import magic

from common.files.findings import UNKNOWN_TYPE
from workers.files.examining import media_types
from workers.files.examining.content import HEAD_BYTES, Content, Unreadable
from workers.files.examining.sniff_office import OLE_SIGNATURE, sniff_ole, sniff_zip
from workers.files.examining.sniff_text import sniff_text
from workers.files.examining.zip_index import SIGNATURES

_MAGIC_BYTES = 4 * 1024
# How far libmagic's regular expressions look; its default of 8 KiB makes unknown bytes take twice as long.
_REGEX_MAX_BYTES = 1024
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_CUT_MAX_BYTES = 3
_magic = magic.Magic(mime=True)
_magic.setparam(magic.MAGIC_PARAM_REGEX_MAX, _REGEX_MAX_BYTES)


def sniff(content: Content) -> str:
    """Return the media type of *content*; `UNKNOWN_TYPE` if it is none that is known."""
    head = content.head
    if not head:
        return media_types.EMPTY
    if head.startswith(SIGNATURES):
        return sniff_zip(content) or media_types.ZIP
    if head.startswith(OLE_SIGNATURE):
        return sniff_ole(content)
    if head.startswith(_MARKS):
        return _sniff_marked(content)
    guess = _by_magic(head[:_MAGIC_BYTES])
    return sniff_text(content, guess) if _may_be_text(guess, head) else guess


def _sniff_marked(content: Content) -> str:
    """Sniff a text that says how it is encoded: libmagic gets it in UTF-8, the only encoding it looks into."""
    try:
        decoded = content.sample[:_MAGIC_BYTES].encode("utf-8", "replace")
    except Unreadable:
        return _by_magic(content.head)
    guess = _by_magic(decoded)
    return sniff_text(content, guess) if _may_be_text(guess, decoded) else UNKNOWN_TYPE


def _by_magic(head: bytes) -> str:
    try:
        guess = str(_magic.from_buffer(head)).lower()
    except magic.MagicException:
        return UNKNOWN_TYPE
    return guess if "/" in guess else UNKNOWN_TYPE


def _may_be_text(guess: str, head: bytes) -> bool:
    if guess == UNKNOWN_TYPE:
        return _looks_like_text(head)
    return media_types.is_text(guess) or guess in {media_types.JSON, media_types.JSON_LINES}


def _looks_like_text(head: bytes) -> bool:
    """Tell whether *head*, in which libmagic saw nothing, is UTF-8 without the characters that no text has."""
    if head.translate(None, _CONTROL) != head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD_BYTES and error.start >= len(head) - _CUT_MAX_BYTES
    return True
