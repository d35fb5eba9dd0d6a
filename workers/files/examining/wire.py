"""What the examiner and its child say to each other over their socket.

child → examiner   READY, once it is confined
examiner → child   4 bytes of length, then JSON: which parts of the descriptor that comes with it to examine
child → examiner   for each part, as soon as it is done, a line of JSON (`answers` reads them)
"""

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

READY = b"ready\n"
ANSWER_MAX_BYTES = 64 * 1024
_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A content within a descriptor; of its *size_bytes* only the first *held_bytes* may be there."""

    offset: int
    held_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Request:
    """Which parts of a descriptor to examine, and whether to read them or only to name their type."""

    parts: tuple[Part, ...]
    type_only: bool = False


def send_request(sock: socket.socket, request: Request, descriptor: int) -> None:
    """Send *request* and *descriptor*, which stays open here."""
    body = orjson.dumps(asdict(request))
    message = _LENGTH.pack(len(body)) + body
    sent = socket.send_fds(sock, [message], [descriptor])
    sock.sendall(message[sent:])


def receive_request(sock: socket.socket) -> tuple[Request, int] | None:
    """Wait for the next request; return it with its descriptor, to be closed by the caller; None at the end."""
    data, descriptors, _flags, _address = socket.recv_fds(sock, _CHUNK_BYTES, 1)
    if not data:
        return None
    if len(descriptors) != 1:
        _close(descriptors)
        raise EOFError("A request came without its descriptor.")
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        more = sock.recv(_CHUNK_BYTES)
        if not more:
            raise EOFError("A request broke off.")
        data += more
    said = orjson.loads(data[_LENGTH.size :])
    return Request(tuple(Part(**part) for part in said["parts"]), said["type_only"]), descriptors[0]


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
