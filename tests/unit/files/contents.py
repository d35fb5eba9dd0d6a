"""Contents as the examining child holds them, without a child."""

from collections.abc import Iterator
from contextlib import contextmanager

from common.files.findings import Findings
from workers.files.examining.content import Content
from workers.files.examining.handing import hand_contents
from workers.files.examining.reading import examine


@contextmanager
def held(content: bytes, *, size_bytes: int | None = None) -> Iterator[Content]:
    """Hold *content*, between others; it may be but the beginning of *size_bytes*."""
    with hand_contents([b"before", content, b"after"]) as parcel:
        part = parcel.parts[1]
        yield Content(parcel.descriptor, part.offset, part.held_bytes, size_bytes or part.size_bytes)


def examined(content: bytes, *, size_bytes: int | None = None) -> Findings:
    """Return what is found in *content*."""
    with held(content, size_bytes=size_bytes) as it:
        return examine(it)
