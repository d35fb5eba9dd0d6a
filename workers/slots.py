"""Shared memory of a worker's parent and its children: what each child holds and runs, and what it should know.

The memory is mapped before the fork. A mailbox has one writer, and carries a number that is odd while a letter is
being written, so that a reader never sees half of one.
"""

import mmap
import struct
import time
from typing import Any

import orjson

SLOTS_MAX = 256
_HEADER = struct.Struct("<QI")
_LONG_BYTES, _SHORT_BYTES = 128 * 1024, 1024
_SLOT_BYTES = 2 * (_HEADER.size + _LONG_BYTES) + _HEADER.size + _SHORT_BYTES
_FLAGS_BYTES = mmap.PAGESIZE


class Mailbox:
    """One letter of JSON, written by one process and read by others."""

    def __init__(self, memory: mmap.mmap, offset: int, most_bytes: int) -> None:
        self._memory = memory
        self._offset = offset
        self._most_bytes = most_bytes

    @property
    def number(self) -> int:
        """Return the letter's number; it changes with each letter."""
        return int(_HEADER.unpack_from(self._memory, self._offset)[0])

    def post(self, letter: Any) -> None:
        """Replace the letter. Raises `ValueError` if it is too long for this box."""
        encoded = orjson.dumps(letter)
        if len(encoded) > self._most_bytes:
            raise ValueError(f"A letter of {len(encoded)} bytes does not fit into a mailbox.")
        number = self.number | 1  # also mends the number of a writer that died in the middle
        start = self._offset + _HEADER.size
        _HEADER.pack_into(self._memory, self._offset, number, len(encoded))
        self._memory[start : start + len(encoded)] = encoded
        _HEADER.pack_into(self._memory, self._offset, number + 1, len(encoded))

    def read(self) -> Any:
        """Return the letter, or `None` if there is none or its writer died in the middle of it."""
        for _ in range(100):
            number, length = _HEADER.unpack_from(self._memory, self._offset)
            start = self._offset + _HEADER.size
            letter = bytes(self._memory[start : start + length])
            if number % 2 == 0 and number == self.number:
                return orjson.loads(letter) if letter else None
            time.sleep(0)  # let the writer go on
        return None


class Slot:
    """The mailboxes of one child: *held* and *running* are written by the child, *notes* by the parent."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        start = _FLAGS_BYTES + index * _SLOT_BYTES
        self.held = Mailbox(memory, start, _LONG_BYTES)
        self.notes = Mailbox(memory, start + _HEADER.size + _LONG_BYTES, _LONG_BYTES)
        self.running = Mailbox(memory, start + 2 * (_HEADER.size + _LONG_BYTES), _SHORT_BYTES)


class Slots:
    """The slots of one worker; make it in the parent, before the first child is forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FLAGS_BYTES + SLOTS_MAX * _SLOT_BYTES)

    def __getitem__(self, index: int) -> Slot:
        if not 0 <= index < SLOTS_MAX:
            raise IndexError(f"A worker has at most {SLOTS_MAX} slots, not one numbered {index}.")
        return Slot(self._memory, index)

    @property
    def is_closing(self) -> bool:
        """Tell whether the worker takes no more work."""
        return self._memory[0] == 1

    def close(self) -> None:
        """Say to every child: take no more, give the rest back."""
        self._memory[0] = 1
