"""In which encoding a file is written.

byte order mark    it says so: UTF-8, UTF-16, UTF-32
valid UTF-8        nothing else looks like that by chance; the whole file is checked
nearly UTF-8       UTF-8; the few rows with other bytes are refused one by one
anything else      charset-normalizer's guess, from the lines around the first byte that is not UTF-8
"""

import codecs
from typing import BinaryIO

import charset_normalizer

from common.errors import JobFailed

_CHUNK_BYTES = 1024 * 1024
_SAMPLE_BYTES = 64 * 1024
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# What browsers read; beyond these a guess on a short text is mostly wrong.
_CANDIDATES = [
    *(f"cp{number}" for number in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 874, 932, 949)),
    *("big5hkscs", "euc_jp", "gb18030", "koi8_r", "koi8_u", "iso2022_jp", "mac_roman"),
]
# Tables that differ from Windows-1252 in a few letters; where both fit, the one that is everywhere is meant.
_LIKE_WESTERN = frozenset({"cp1250", "cp1257", "cp1258", "mac_roman"})


def detect_encoding(file: BinaryIO) -> str:
    """Return the codec that reads *file*, which must stand at its start; reads it once if it has no mark.

    Raises `JobFailed` if the bytes are no text that we know.
    """
    start = file.read(_CHUNK_BYTES)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    doubtful = _first_chunk_not_utf8(file, start)
    if doubtful is None or _is_mostly_utf8(doubtful):
        return "utf-8"
    return _guess(_lines_around_fault(doubtful))


def _first_chunk_not_utf8(file: BinaryIO, chunk: bytes) -> bytes | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    while True:
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return error.object
        if not chunk:
            return None
        chunk = file.read(_CHUNK_BYTES)


def _is_mostly_utf8(chunk: bytes) -> bool:
    """Tell whether *chunk* has ten times more multi-byte sequences of UTF-8 than bytes that are none."""
    text = chunk.decode("utf-8", "surrogateescape")
    strange = sum(1 for character in text if "\udc80" <= character <= "\udcff")
    sound = sum(1 for character in text if character > "\x7f") - strange
    return sound > 10 * strange


def _lines_around_fault(chunk: bytes) -> bytes:
    """Return whole lines, where there are any: a character cut in two would spoil the guess."""
    try:
        chunk.decode("utf-8")
        fault = 0
    except UnicodeDecodeError as error:
        fault = error.start
    start = chunk.rfind(b"\n", 0, max(0, fault - _SAMPLE_BYTES // 2)) + 1
    sample = chunk[start : start + _SAMPLE_BYTES]
    if start + _SAMPLE_BYTES >= len(chunk):
        return sample
    end = sample.rfind(b"\n")
    return sample[: end + 1] if end > fault - start else sample


def _guess(sample: bytes) -> str:
    matches = charset_normalizer.from_bytes(sample, cp_isolation=_CANDIDATES)
    best = matches.best()
    if best is None:
        raise JobFailed("The file's encoding is not known; is it text? UTF-8 is safe.", code="encoding-unknown")
    possible = {name for match in matches for name in match.could_be_from_charset}
    if best.encoding in _LIKE_WESTERN and "cp1252" in possible:
        return "cp1252"
    return best.encoding
