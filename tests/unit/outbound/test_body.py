"""Reading a body: whole, unpacked, and never more than is taken."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import AnswerRefused, HostIll
from common.outbound.body import read_body

MOST = 100_000


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "GZIP ": gzip.compress, "deflate": zlib.compress}


@given(st.binary(max_size=2_000), st.integers(1, 500), st.sampled_from(sorted(PACKERS)))
def test_what_was_packed_comes_out_however_it_is_cut(data: bytes, size: int, encoding: str) -> None:
    packed = PACKERS[encoding](data)

    assert read_body(pieces(packed, size), {"content-encoding": encoding}, MOST) == data


@given(st.binary(max_size=2_000), st.integers(1, 500))
def test_deflate_may_lack_its_header(data: bytes, size: int) -> None:
    assert read_body(pieces(bare_deflate(data), size), {"content-encoding": "deflate"}, MOST) == data


@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 30))
def test_gzip_may_have_several_parts(parts: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)

    assert read_body(pieces(packed, size), {"content-encoding": "gzip"}, MOST) == b"".join(parts)


@pytest.mark.parametrize("encoding", ["identity", "", "gzip", "deflate"])
def test_an_empty_body_is_empty_whatever_it_claims_to_be(encoding: str) -> None:
    assert read_body([], {"content-encoding": encoding, "content-length": "0"}, MOST) == b""


def test_a_body_may_be_as_large_as_is_taken_and_no_larger() -> None:
    whole = b"a" * MOST

    assert read_body(pieces(whole, 1_000), {}, MOST) == whole
    assert read_body([gzip.compress(whole)], {"content-encoding": "gzip"}, MOST) == whole
    for chunks, headers in (
        ([whole, b"a"], {}),
        ([gzip.compress(whole + b"a")], {"content-encoding": "gzip"}),
        ([gzip.compress(whole), gzip.compress(b"a")], {"content-encoding": "gzip"}),
        ([zlib.compress(whole + b"a")], {"content-encoding": "deflate"}),
    ):
        with pytest.raises(AnswerRefused, match="100,000"):
            read_body(chunks, headers, MOST)


def test_a_body_that_says_it_is_larger_is_not_even_begun() -> None:
    chunks = iter([b"begun"])

    with pytest.raises(AnswerRefused, match="larger"):
        read_body(chunks, {"content-length": str(10 * 1024**3)}, MOST)

    assert next(chunks) == b"begun"


def test_a_bomb_costs_no_more_than_what_is_taken() -> None:
    bomb = gzip.compress(bytes(64 * 1024**2))
    tracemalloc.start()

    with pytest.raises(AnswerRefused, match="larger"):
        read_body(pieces(bomb, 65_536), {"content-encoding": "gzip"}, MOST)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1024**2


def test_a_million_chunks_of_a_byte_cost_no_more_than_their_bytes() -> None:
    tracemalloc.start()

    body = read_body((b"%d" % (number % 10) for number in range(1_000_000)), {}, 1_000_000)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) == 1_000_000
    assert peak_bytes < 4 * 1024**2


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_body_that_is_cut_or_damaged_is_none(encoding: str) -> None:
    packed = PACKERS[encoding](b"many words " * 1_000)

    with pytest.raises(HostIll, match="cut short"):
        read_body([packed[:-1]], {"content-encoding": encoding}, MOST)
    with pytest.raises(HostIll, match="damaged"):
        read_body([packed[:20] + b"\xff" * 20 + packed[40:]], {"content-encoding": encoding}, MOST)


@pytest.mark.parametrize("body", [b"<html>", b"\x1f", b"{}"])
def test_a_body_that_only_claims_to_be_packed_is_none(body: bytes) -> None:
    with pytest.raises(HostIll):
        read_body([body], {"content-encoding": "gzip"}, MOST)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "aws-chunked", "x"])
def test_a_packing_that_nobody_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(AnswerRefused, match="nobody asked for"):
        read_body([b"x"], {"content-encoding": encoding}, MOST)
