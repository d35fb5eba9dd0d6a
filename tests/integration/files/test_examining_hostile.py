"""Contents that are made to harm who looks into them: each is answered, and the next one is examined as ever."""

import io
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from common.files.findings import UNKNOWN_TYPE, Findings
from tests.unit.files import made_files as made
from workers.files.examining import media_types as types
from workers.files.examining.examiner import Examiner

# Three tries of a content by the clock; a test that takes as long has found a hole in the limits.
ANSWERED_WITHIN_S = 30.0
SHEETS = made.xlsx
EXECUTABLE = b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(200)
LEAF = b"<</Type/Page>>"


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as made_once:
        yield made_once


def entity_bomb() -> bytes:
    names = "abcdefghijkl"
    bomb = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    sheet = made.sheet("A1", before=f'<!DOCTYPE w [<!ENTITY a "lol">{bomb}]>')
    return made.xlsx(sheet.replace("><v>1</v>", ' t="str"><v>&l;</v>'))


def external_entity() -> bytes:
    sheet = made.sheet("A1", before='<!DOCTYPE w [<!ENTITY k SYSTEM "file:///etc/passwd">]>')
    return made.xlsx(sheet.replace("><v>1</v>", ' t="str"><v>&k;</v>'))


def deflate_bomb(unpacked_bytes: int) -> bytes:
    """Return a workbook with a sheet of blanks that claims to be small."""
    bomb = made.xlsx(made.sheet("A1") + " " * unpacked_bytes)
    return made.claiming(bomb, "xl/worksheets/sheet1.xml", 1000)


def pages_in_a_loop() -> bytes:
    return made.pdf([made.CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 9>>"])


def pages_that_multiply() -> bytes:
    kids = [b"<</Type/Pages/Kids[%b]/Count 9>>" % (b"%d 0 R " % (number + 1) * 10) for number in range(2, 12)]
    return made.pdf([made.CATALOG, *kids, LEAF])


def tables_in_a_loop() -> bytes:
    sound = made.pages(1)
    at = sound.index(b"xref\n0")
    return sound.replace(b"/Root", b"/Prev %d/Root" % at)


SMALL: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (bytes, types.EMPTY),
    "an entity bomb": (entity_bomb, types.XLSX),
    "an external entity": (external_entity, types.XLSX),
    "a workbook that is a PDF within": (lambda: made.zipped({"[Content_Types].xml": made.pages(1)}), types.ZIP),
    "pages in a loop": (pages_in_a_loop, types.PDF),
    "tables in a loop": (tables_in_a_loop, types.PDF),
    "claimed pages": (
        lambda: made.pdf([made.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 999999999>>", LEAF]),
        types.PDF,
    ),
    "an image of four gigapixels": (lambda: made.png(65_000, 65_000), "image/png"),
    "NUL bytes": (lambda: b"a,b\n1,\0\n2,3\n", UNKNOWN_TYPE),
    "100,000 columns": (lambda: b"\n".join([b"1," * 100_000] * 3), types.PLAIN),
    "10,000 columns": (lambda: b"\n".join([b"1," * 10_000] * 3), types.CSV),
    "carriage returns only": (lambda: b"a,b\r1,2\r3,4\r", types.CSV),
    "mixed encodings": (lambda: "a,b\nä,ü\n".encode() * 100 + b"\xf6,\xdf\n" + "ä,ü\n".encode() * 99, types.CSV),
    "a mark and nothing": (lambda: b"\xef\xbb\xbf", types.PLAIN),
    "half a character of UTF-16": (lambda: b"\xff\xfea", types.PLAIN),
    "no UTF-8": (lambda: b"a,b\n\xff\xfe,\xc0\xaf\n\xed\xa0\x80,2\n", types.CSV),
    "100,000 open brackets": (lambda: b"[" * 100_000, types.JSON),
    "100,000 braces": (lambda: b'{"a":' * 100_000, types.JSON),
    "a number of 10,000 digits": (lambda: b"[" + b"1" * 10_000 + b"]", types.PLAIN),
    "an executable": (lambda: EXECUTABLE, "application/x-dosexec"),
    "an executable that ends as a zip": (lambda: EXECUTABLE + made.zipped({"a": "a"}), "application/x-dosexec"),
    "a zip that ends as a page": (lambda: made.zipped({"a": "a"}) + b"<script>alert(1)</script>", types.ZIP),
    "an image that ends as a zip": (lambda: made.png(2, 2) + made.SOUND_XLSX, "image/png"),
    "a script in a picture": (
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>",
        types.SVG,
    ),
}
# Large, or long to look into.
LARGE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a cell at the far corner": (lambda: SHEETS(made.sheet("A1", "XFD1048576")), types.XLSX),
    "a sheet of 200 MB that claims a kilobyte": (lambda: deflate_bomb(200_000_000), types.XLSX),
    "a sheet of 200 MB": (lambda: made.xlsx(made.sheet("A1") + " " * 200_000_000), types.XLSX),
    "a million entries": (lambda: made.zip_of_claimed_entries(1_000_000), types.ZIP),
    "three million entries": (lambda: made.zip_of_claimed_entries(3_000_000), types.ZIP),
    "pages that multiply": (pages_that_multiply, types.PDF),
    "a PDF nested without end": (lambda: made.pdf([made.CATALOG, b"[" * 1_000_000]), types.PDF),
    "pages beyond number": (
        lambda: made.pdf([made.CATALOG, b"<</Type/Pages/Kids[%b]/Count 9>>" % (b"3 0 R " * 1_000_000), LEAF]),
        types.PDF,
    ),
    "an animation of a million frames": (lambda: made.gif(1_000_000), "image/gif"),
    "a line of 100 MB": (lambda: b"x" * 100_000_000, types.PLAIN),
    "a value of 100 MB": (lambda: b'a,b\n1,2\n3,"' + b"x" * 100_000_000, types.CSV),
    "a quote that is never closed": (lambda: b'a,b\n1,2\n3,"' + b"x,y\n" * 1_000_000, types.CSV),
    "blank lines": (lambda: b'a,b\n1,"2"\n' + b"\n" * 60_000_000, types.PLAIN),
    "blank rows": (lambda: b'a,b\n1,"2"\n' * 60 + b"\n" * 60_000_000, types.CSV),
    "only NUL bytes": (lambda: bytes(1_000_000), UNKNOWN_TYPE),
}
HOSTILE = SMALL | LARGE


def examined(examiner: Examiner, content: bytes) -> Findings:
    return examiner.examine(io.BytesIO(content), len(content))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_content_is_answered_and_the_next_one_examined(examiner: Examiner, name: str) -> None:
    make, media_type = HOSTILE[name]
    content = make()
    began = time.monotonic()

    found = examined(examiner, content)
    took_s = time.monotonic() - began
    after = examined(examiner, made.SOUND_XLSX)

    print(f"{name}: {took_s:.2f} s, {found}")
    assert found.media_type == media_type
    assert took_s < ANSWERED_WITHIN_S
    assert after.found["sheet_count"] == 2


def test_all_that_is_small_and_hostile_comes_through_in_one_group(examiner: Examiner) -> None:
    small = [make() for make, _type in SMALL.values()]

    found = examiner.examine_all([content for hostile in small for content in (hostile, made.SOUND_XLSX)])

    assert all(each.found.get("sheet_count") == 2 for each in found[1::2])
