"""A file of rows, from its bytes on: how it is written, how many rows it has, and the rows."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from typing import BinaryIO, Literal, TextIO

from common.errors import JobFailed
from common.text.delimiter import detect_delimiter
from common.text.encoding import detect_encoding
from common.tickets.reading.csv_rows import csv_header, csv_rows
from common.tickets.reading.json_rows import json_rows
from common.tickets.reading.rows import Refusal, Row

Format = Literal["csv", "jsonl"]
_SAMPLE_CHARS = 64 * 1024


@dataclass(frozen=True)
class Form:
    """How a file is written. Reading with the same form gives the same rows with the same numbers."""

    format: Format
    encoding: str
    delimiter: str = ""


def detect_form(file: BinaryIO, format: Format) -> Form:  # noqa: A002 (the domain's word)
    """Find out how *file*, which must be seekable, is written. Raises `JobFailed` if it is no text."""
    file.seek(0)
    encoding = detect_encoding(file)
    if format == "jsonl":
        return Form(format, encoding)
    return Form(format, encoding, _delimiter(file, encoding))


def read_header(file: BinaryIO, form: Form) -> tuple[str, ...] | None:
    """Return the names of the columns; None where each row names its own.

    Raises `JobFailed` if there should be a header and is none.
    """
    if form.format == "jsonl":
        return None
    with _decoded(file, form) as text:
        return csv_header(text, form.delimiter)


def read_rows(file: BinaryIO, form: Form) -> Generator[Row | Refusal]:
    """Yield every row of *file* from its start, in order; holds one at a time. Close it before the file.

    Raises `JobFailed` if there is no header, or the text breaks off in a way that can't be gone around.
    """
    with _decoded(file, form) as text:
        yield from csv_rows(text, form.delimiter) if form.format == "csv" else json_rows(text)


def _delimiter(file: BinaryIO, encoding: str) -> str:
    with _decoded(file, Form("csv", encoding)) as text:
        sample = text.read(_SAMPLE_CHARS)
    return detect_delimiter(sample, is_whole=len(sample) < _SAMPLE_CHARS)


@contextmanager
def _decoded(file: BinaryIO, form: Form) -> Iterator[TextIO]:
    """Decode from the start and without loss: bytes that are no text become lone surrogates, refused later.

    Line ends stay as they are: CSV may hold them in quotes. JSON Lines end at newlines only.
    """
    file.seek(0)
    newline = "\n" if form.format == "jsonl" else ""
    text = TextIOWrapper(file, encoding=form.encoding, errors="surrogateescape", newline=newline)
    try:
        yield text
    except UnicodeError as error:
        raise JobFailed(f"The file is not {form.encoding} throughout.", code="encoding-broken") from error
    finally:
        text.detach()  # the file is its opener's to close
