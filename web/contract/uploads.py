"""Uploads: a multipart body goes from the socket to the store, past Flask's form parser and its files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from flask import request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from common.errors import Fault, Invalid, NotParseable, TooLarge, WrongMediaType
from common.storage.blob_store import Blob
from web.contract.bodies import CHUNK_BYTES, Body

FIELD_MAX_BYTES = 64 * 1024
PARTS_MAX = 10
FRAMING_MAX_BYTES = 1024 * 1024
HEAD_BYTES = 4 * 1024
_BOUNDARY_MAX_CHARS = 100  # RFC 2046 says 70; the random ones of some clients are a character or two longer
# What the decoder may hold back: a chunk, and the longest head of a part. A file's data never waits in it.
_HELD_BACK_MAX_BYTES = 4 * CHUNK_BYTES


@dataclass(frozen=True)
class Received:
    """A file that is stored now, how it begins, and the text fields that came with it."""

    blob: Blob
    filename: str
    head: bytes
    fields: Mapping[str, str]


class Destination(Protocol):
    """Where an upload goes."""

    def save(self, chunks: Iterable[bytes]) -> Blob:
        """Store what comes."""
        ...


def receive(destination: Destination, *, file: str, fields: frozenset[str], max_bytes: int) -> Received:
    """Store the part called *file* as it comes in, and read the text *fields* around it.

    Raises `WrongMediaType`, `NotParseable`, `TooLarge` or `Invalid`; what was stored is the caller's to give up.
    """
    return _Reception(destination, file, fields, max_bytes).run()


class _Reception:
    def __init__(self, destination: Destination, file: str, fields: frozenset[str], max_bytes: int) -> None:
        self._destination = destination
        self._file = file
        self._known = fields
        self._events = _events(max_bytes)
        self._fields: dict[str, str] = {}
        self._blob: Blob | None = None
        self._filename = ""
        self._head = b""

    def run(self) -> Received:
        self._read_parts()
        if self._blob is None:
            raise Invalid(f"Send the file as the part {self._file!r}.", [Fault("is missing", f"/{self._file}")])
        return Received(self._blob, self._filename, self._head, self._fields)

    def _read_parts(self) -> None:
        for event in self._events:
            if isinstance(event, File) and event.name == self._file:
                self._take_file(event)
            elif isinstance(event, Field) and event.name in self._known:
                self._take_field(event)
            elif isinstance(event, File | Field):
                # A part without a name has None where the decoder promises text.
                where = str(event.name or "")[:200]
                raise Invalid("The form has an unknown part.", [Fault("is not known here", f"/{where}")])

    def _take_file(self, part: File) -> None:
        if self._blob is not None:
            raise Invalid("Send one file.", [Fault("was sent twice", f"/{self._file}")])
        self._filename = part.filename
        self._blob = self._destination.save(self._noting_head())

    def _take_field(self, part: Field) -> None:
        if part.name in self._fields:
            raise Invalid("Send each field once.", [Fault("was sent twice", f"/{part.name}")])
        self._fields[part.name] = self._text(part.name)

    def _noting_head(self) -> Iterator[bytes]:
        for chunk in self._data():
            if len(self._head) < HEAD_BYTES:
                self._head += chunk[: HEAD_BYTES - len(self._head)]
            yield chunk

    def _data(self) -> Iterator[bytes]:
        for event in self._events:
            if not isinstance(event, Data):
                raise NotParseable("The multipart body is broken inside a part.")
            if event.data:
                yield event.data
            if not event.more_data:
                return

    def _text(self, name: str) -> str:
        text = bytearray()
        for chunk in self._data():
            text += chunk
            if len(text) > FIELD_MAX_BYTES:
                raise TooLarge(f"The field {name} has at most {FIELD_MAX_BYTES} bytes.")
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise Invalid("A field is not UTF-8.", [Fault("must be UTF-8", f"/{name}")]) from error


def _events(max_bytes: int) -> Iterator[Event]:
    """Decode the body part by part, holding one chunk at a time."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not 0 < len(boundary) <= _BOUNDARY_MAX_CHARS:
        raise WrongMediaType("Send multipart/form-data with a boundary.")
    if not boundary.isascii():
        raise WrongMediaType("A boundary is ASCII.")
    body = Body(request, max_bytes + FRAMING_MAX_BYTES, "A form with its file")
    decoder = MultipartDecoder(boundary.encode(), max_form_memory_size=_HELD_BACK_MAX_BYTES, max_parts=PARTS_MAX)
    try:
        yield from _decoded(decoder, body)
    except RequestEntityTooLarge as error:
        raise TooLarge(f"A form has at most {PARTS_MAX} parts, with little around and before each.") from error
    except (ValueError, HTTPException) as error:
        raise NotParseable("The multipart body is broken or ends too early.") from error


def _decoded(decoder: MultipartDecoder, body: Body) -> Iterator[Event]:
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, NeedData):
            decoder.receive_data(body.read() or None)
        else:
            yield event
