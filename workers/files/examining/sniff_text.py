"""Of which type a text is, where libmagic sees only text or sees too much in it."""

import re
from collections.abc import Mapping

import orjson

from common.files.findings import UNKNOWN_TYPE
from workers.files.examining import media_types
from workers.files.examining.content import Content, Unreadable

_ROOT = re.compile(r"<(?:\w+:)?([a-zA-Z]\w*)[\s>/]")
_ROOTS: Mapping[str, str] = {
    "svg": media_types.SVG,
    "rss": media_types.RSS,
    "feed": media_types.ATOM,
    "html": media_types.XHTML,
}
# How JSON may begin; a log that begins with [2024-05-01] does not.
_JSON_BEGINS = re.compile(
    r"""
    \s* ( \{ \s* ( "(?:[^"\\]|\\.)*" \s* : | \} )
        | \[ \s* ( [\[{\]]
            | ( "(?:[^"\\]|\\.)*" | -?\d+(\.\d+)?([eE][+-]?\d+)? | true | false | null ) \s* [,\]] ) )
    """,
    re.VERBOSE,
)
# Guesses at a programming language, and at nothing in particular: a clear table or JSON is likelier.
_WEAK = frozenset({media_types.PLAIN, media_types.CSV, media_types.JSON, media_types.JSON_LINES, UNKNOWN_TYPE})


def sniff_text(content: Content, guess: str) -> str:
    """Return the type of the text; *guess* is libmagic's."""
    try:
        sample = content.sample
    except Unreadable:
        return guess if guess not in _WEAK else media_types.PLAIN
    start = sample.lstrip("\ufeff \t\r\n")
    if start.startswith("<"):
        return _sniff_markup(start, guess)
    if start.startswith(("{", "[")) and (found := _sniff_json(sample, is_whole=content.sample_is_whole)):
        return found
    if _is_weak(guess) and content.delimiter:
        return media_types.TSV if content.delimiter == "\t" else media_types.CSV
    return media_types.PLAIN if guess in _WEAK else guess


def _is_weak(guess: str) -> bool:
    return guess in _WEAK or guess == media_types.HTML or guess.startswith(("text/x-", "message/"))


def _sniff_markup(start: str, guess: str) -> str:
    """Name what can run script for what it is, whatever else it may be."""
    root = _ROOT.search(start)
    known = _ROOTS.get(root[1].lower()) if root else None
    if start.startswith("<?xml"):
        return known or media_types.XML
    if known and known != media_types.XHTML:
        return known
    return guess if guess not in _WEAK else media_types.PLAIN


def _sniff_json(sample: str, *, is_whole: bool) -> str | None:
    lines = [line for line in sample.split("\n") if line and not line.isspace()]
    whole_lines = lines if is_whole else lines[:-1]
    if len(whole_lines) > 1 and all(_is_json(line) for line in whole_lines[:2]):
        return media_types.JSON_LINES
    if is_whole:
        return media_types.JSON if _is_json(sample) else None
    return media_types.JSON if _JSON_BEGINS.match(sample) else None


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text.removeprefix("\ufeff"))
    except orjson.JSONDecodeError:
        return False
    return True
