"""Uploads: a multipart body goes from the socket to the store, past Flask's form parser and its files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from common.errors import Fault, Invalid, NotParseable, TooLarge, WrongMediaType
from common.storage.blob_store import Blob, BlobStore

CHUNK_BYTES = 64 * 1024
FIELD_MAX_BYTES = 64 * 1024
PARTS_MAX = 10
FRAMING_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """A file that is stored now, and the text fields that came with it."""

    blob: Blob
    filename: str
    fields: Mapping[str, str]


def receive(blobs: BlobStore, *, file: str, fields: frozenset[str], max_bytes: int) -> Upload:
    """Store the part called *file* as it comes in, and read the text *fields* around it.

    Whatever goes wrong, nothing stays stored. Raises `WrongMediaType`, `NotParseable`, `TooLarge` or `Invalid`.
    """
    return _Reception(blobs, file, fields, max_bytes).run()


class _Reception:
    def __init__(self, blobs: BlobStore, file: str, fields: frozenset[str], max_bytes: int) -> None:
        self._blobs = blobs
        self._file = file
        self._known = fields
        self._max_bytes = max_bytes
        self._events = _events(max_bytes)
        self._fields: dict[str, str] = {}
        self._blob: Blob | None = None
        self._filename = ""

    def run(self) -> Upload:
        try:
            self._read_parts()
        except BaseException:
            if self._blob is not None:
                self._blobs.delete(self._blob.id)
            raise
        if self._blob is None:
            raise Invalid(f"Send the file as the part {self._file!r}.", [Fault("is missing", f"/{self._file}")])
        return Upload(self._blob, self._filename, self._fields)

    def _read_parts(self) -> None:
        for event in self._events:
            if isinstance(event, File) and event.name == self._file:
                if self._blob is not None:
                    raise Invalid("Send one file.", [Fault("was sent twice", f"/{self._file}")])
                self._filename = event.filename
                self._blob = self._blobs.save(self._data(), max_bytes=self._max_bytes)
            elif isinstance(event, Field) and event.name in self._known:
                if event.name in self._fields:
                    raise Invalid("Send each field once.", [Fault("was sent twice", f"/{event.name}")])
                self._fields[event.name] = self._text(event.name)
            elif isinstance(event, File | Field):
                raise Invalid(
                    "The form has an unknown part.", [Fault("is not known here", f"/{event.name[:200]}")]
                )

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
    if request.mimetype != "multipart/form-data" or not 0 < len(boundary) <= 70:  # noqa: PLR2004 (RFC 2046)
        raise WrongMediaType("Send multipart/form-data with a boundary.")
    if (request.content_length or 0) > max_bytes + FRAMING_MAX_BYTES:
        raise TooLarge(f"The file has at most {max_bytes} bytes.")
    request.max_content_length = max_bytes + FRAMING_MAX_BYTES
    decoder = MultipartDecoder(boundary.encode(), max_form_memory_size=None, max_parts=PARTS_MAX)
    try:
        while True:
            event = decoder.next_event()
            if isinstance(event, Epilogue):
                return
            if isinstance(event, NeedData):
                decoder.receive_data(request.stream.read(CHUNK_BYTES) or None)
            else:
                yield event
    except RequestEntityTooLarge as error:
        raise TooLarge(f"The form has at most {PARTS_MAX} parts and a file of {max_bytes} bytes.") from error
    except (ValueError, ClientDisconnected) as error:
        raise NotParseable("The multipart body is broken or ends too early.") from error
