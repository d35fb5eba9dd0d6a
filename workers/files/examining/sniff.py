"""Of which type a content is, by what is in it: never by its name.

nothing             application/x-empty
a zip               its parts tell: Office, OpenDocument, EPUB, Java, or just a zip
an OLE container    its streams tell: the Office of before 2007, messages, encrypted Office
text                `sniff_text`: libmagic takes CSV, JSON and XML for other things, and guesses at languages
anything else       libmagic's
"""

import codecs
import re

import pylibmagic  # noqa: F401  # isort: skip (brings the library that the next one loads)
import magic

from common.files.findings import UNKNOWN_TYPE
from workers.files.examining import media_types
from workers.files.examining.content import HEAD_BYTES, Content, Unreadable
from workers.files.examining.sniff_office import OLE_SIGNATURE, sniff_ole, sniff_zip
from workers.files.examining.sniff_text import sniff_text
from workers.files.examining.zip_index import SIGNATURES

_MAGIC_BYTES = 2 * 1024
# How far libmagic's regular expressions look; its default of 8 KiB makes unknown bytes take twice as long.
_REGEX_MAX_BYTES = 1024
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))
_CUT_MAX_BYTES = 3
# Formats that are written as text begin like this. All other text is spared libmagic, which takes 5 ms for it.
_FORMAT_BEGINS = re.compile(
    r"\s*(<|#!|%!|%PDF|\{\\rtf|BEGIN:|-----BEGIN |"
    r"(From|Received|Return-Path|Delivered-To|Message-ID|MIME-Version|Subject|Date|To|X-[\w-]+):? )",
    re.IGNORECASE,
)
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
    text = _text(content)
    if text is None:
        return _sniff_bytes(content)
    guess = _by_magic(text.encode("utf-8", "replace")) if _FORMAT_BEGINS.match(text) else media_types.PLAIN
    return sniff_text(content, guess)


def _sniff_bytes(content: Content) -> str:
    """Sniff what is not clearly text; libmagic knows text in other encodings when it sees it."""
    guess = _by_magic(content.head[:_MAGIC_BYTES])
    return sniff_text(content, guess) if media_types.is_text(guess) else guess


def _by_magic(head: bytes) -> str:
    try:
        guess = str(_magic.from_buffer(head[:_MAGIC_BYTES])).lower()
    except magic.MagicException:
        return UNKNOWN_TYPE
    return guess if "/" in guess else UNKNOWN_TYPE


def _text(content: Content) -> str | None:
    """Return the beginning of what is UTF-8, or says in which encoding it is, without what no text has."""
    if content.head.startswith(_MARKS):
        try:
            return content.sample[:HEAD_BYTES].removeprefix("\ufeff")
        except Unreadable:
            return None
    if content.head.translate(None, _CONTROL) != content.head:
        return None
    try:
        return content.head.decode()
    except UnicodeDecodeError as error:
        is_cut = content.size_bytes > HEAD_BYTES and error.start >= HEAD_BYTES - _CUT_MAX_BYTES
        return content.head[: error.start].decode() if is_cut else None
