"""A stream on its way in: the same bytes and the same hash, however it came and however it is cut."""

import hashlib
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import TooLarge
from common.storage.intake import Intake
from common.storage.s3_upload import IN_FLIGHT_BYTES, PART_BYTES, PARTS_MAX, part_sizes

CHUNKS = st.lists(st.binary(max_size=50), max_size=30)


@given(CHUNKS, st.integers(1, 60))
def test_pieces_are_the_stream_cut_anew(chunks: list[bytes], piece_bytes: int) -> None:
    whole = b"".join(chunks)

    with Intake(chunks, max_bytes=len(whole), piece_bytes=itertools.repeat(piece_bytes)) as intake:
        pieces = list(intake)
        blob = intake.blob("id")

    assert b"".join(pieces) == whole
    assert all(len(piece) == piece_bytes for piece in pieces[:-1])
    assert all(0 < len(piece) <= piece_bytes for piece in pieces[-1:])
    assert (blob.id, blob.size_bytes, blob.sha256) == ("id", len(whole), hashlib.sha256(whole).hexdigest())


@given(CHUNKS.filter(any), st.integers(1, 60))
def test_a_byte_more_than_allowed_is_refused(chunks: list[bytes], piece_bytes: int) -> None:
    whole = b"".join(chunks)

    with (
        Intake(chunks, max_bytes=len(whole) - 1, piece_bytes=itertools.repeat(piece_bytes)) as intake,
        pytest.raises(TooLarge) as refused,
    ):
        list(intake)

    assert refused.value.extra == {"limit_bytes": len(whole) - 1}


def test_no_more_is_taken_from_the_stream_than_is_stored() -> None:
    taken: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            taken.append(number)
            yield b"x" * 10

    with Intake(chunks(), max_bytes=1000, piece_bytes=itertools.repeat(10)) as intake:
        pieces = iter(intake)
        next(pieces)
        next(pieces)

    assert len(taken) == 2


@pytest.mark.parametrize("max_bytes", [0, 1, PART_BYTES, 64 * 1024**3, 78 * 1024**3, 1024**4, 5 * 1024**4])
def test_the_parts_that_a_server_takes_suffice(max_bytes: int) -> None:
    sizes = list(itertools.islice(part_sizes(max_bytes), PARTS_MAX))

    assert sum(sizes) >= max_bytes
    assert set(sizes[:1000]) == {PART_BYTES}


def test_parts_are_alike_as_far_as_that_suffices_and_a_terabyte_fits_into_memory() -> None:
    assert set(itertools.islice(part_sizes(78 * 1024**3), PARTS_MAX)) == {PART_BYTES}
    assert max(itertools.islice(part_sizes(1024**4), PARTS_MAX)) < 5 * IN_FLIGHT_BYTES
