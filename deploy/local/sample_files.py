"""Made-up files for the demo, the same ones at every run: a folder of several types, and a zip with traps in it.

folder  40 files of seven types; 8 of them are copies of others
zip     1,000 entries: 700 new contents, 248 copies of those, 50 copies of what the folder has, a name that leads
        out of every folder, and an entry that is damaged
"""

import csv
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

DISTINCT, COPIES = 32, 8
ENTRIES_NEW, ENTRIES_AGAIN, ENTRIES_OF_FOLDER = 700, 248, 50
HOSTILE, DAMAGED = "../escape.txt", "damaged.txt"
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "juniper", "knoll")
_DATE = (2026, 1, 31, 9, 30, 0)
Files = Mapping[str, bytes]
"""Contents by name."""


@dataclass(frozen=True)
class Archive:
    """A zip, what can be had of it by name, and the names that have to be refused."""

    content: bytes
    good: Files
    refused: frozenset[str]


def sample_folder(seed: int) -> Files:
    """Make the files of a folder, by their places in it; the same seed makes the same ones."""
    chance = random.Random(seed)  # noqa: S311 (a demo's data, no secret)
    made: dict[str, bytes] = {}
    for number in range(DISTINCT):
        ending, make = _MAKERS[number % len(_MAKERS)]
        made[f"{ending}/{_WORDS[number % len(_WORDS)]}-{number:02}.{ending}"] = make(chance, number)
    originals = sorted(made)
    for number, name in enumerate(chance.sample(originals, COPIES)):
        made[f"copies/{number}-of-{name.rpartition('/')[2]}"] = made[name]
    return made


def sample_archive(seed: int, folder: Files) -> Archive:
    """Make a zip of 1,000 entries, some of which repeat what *folder* has and what it has itself."""
    chance = random.Random(seed)  # noqa: S311 (as above)
    new = {f"notes/{number:03}.txt": _text(chance, 100_000 + number) for number in range(ENTRIES_NEW)}
    good = dict(new)
    for number, name in enumerate(chance.sample(sorted(new), ENTRIES_AGAIN)):
        good[f"again/{number:03}.txt"] = new[name]
    known = sorted(folder)
    for number in range(ENTRIES_OF_FOLDER):
        name = known[number % len(known)]
        good[f"known/{number:02}-{name.rpartition('/')[2]}"] = folder[name]
    entries = {**good, HOSTILE: b"Nobody finds this outside of its folder.", DAMAGED: _text(chance, 1)}
    names = sorted(entries)
    chance.shuffle(names)
    return Archive(_zipped({name: entries[name] for name in names}), good, frozenset({HOSTILE, DAMAGED}))


def _zipped(entries: Files) -> bytes:
    """Return a zip of *entries* in which the one called DAMAGED has a wrong byte."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            method = zipfile.ZIP_STORED if name == DAMAGED else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, _DATE), content, method)
    found = bytearray(out.getvalue())
    found[found.index(entries[DAMAGED])] ^= 0xFF
    return bytes(found)


def _text(chance: random.Random, number: int) -> bytes:
    lines = [" ".join(chance.choices(_WORDS, k=12)).capitalize() + "." for _ in range(20)]
    return "\n".join([f"Note {number}", *lines, ""]).encode()


def _csv(chance: random.Random, number: int) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "place", "visitors"])
    writer.writerows([number * 1_000 + row, chance.choice(_WORDS), chance.randrange(5_000)] for row in range(50))
    return out.getvalue().encode()


def _json(chance: random.Random, number: int) -> bytes:
    places = [{"place": chance.choice(_WORDS), "visitors": chance.randrange(5_000)} for _ in range(20)]
    return json.dumps({"number": number, "places": places}, indent=1).encode()


def _svg(chance: random.Random, number: int) -> bytes:
    circles = "".join(
        f'<circle cx="{chance.randrange(100)}" cy="{chance.randrange(100)}" r="{chance.randrange(1, 20)}"/>'
        for _ in range(10)
    )
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100">'
    return f"{head}<title>Figure {number}</title>{circles}</svg>\n".encode()


def _png(chance: random.Random, number: int) -> bytes:
    """Return an image of 64 by 64 pixels, eight bits of grey each."""
    rows = b"".join(b"\0" + chance.randbytes(63) + bytes([number % 256]) for _ in range(64))
    header = struct.pack(">2I5B", 64, 64, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _pdf(chance: random.Random, number: int) -> bytes:
    """Return a document of one page with a line on it."""
    line = f"BT /F1 18 Tf 40 100 Td (Sheet {number}: {' '.join(chance.choices(_WORDS, k=3))}) Tj ET".encode()
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page,
        b"<</Length %d>>stream\n%s\nendstream" % (len(line), line),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    out, places = bytearray(b"%PDF-1.4\n"), []
    for at, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s\nendobj\n" % (at, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    return bytes(out) + b"xref\n0 6\n0000000000 65535 f \n" + table + end


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEETS = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _xlsx(chance: random.Random, number: int) -> bytes:
    """Return a workbook with one sheet of ten rows."""
    rows = "".join(
        f'<row r="{row}"><c r="A{row}"><v>{number * 100 + row}</v></c>'
        f'<c r="B{row}"><v>{chance.randrange(5_000)}</v></c></row>'
        for row in range(1, 11)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEETS}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEETS}.worksheet+xml"/></Types>',
        "_rels/.rels": _related("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="Visitors" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _related("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        for name, text in parts.items():
            head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            book.writestr(zipfile.ZipInfo(name, _DATE), head + text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _related(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/{kind}" Target="{target}"/></Relationships>'
    )


_MAKERS: tuple[tuple[str, Callable[[random.Random, int], bytes]], ...] = (
    ("csv", _csv),
    ("json", _json),
    ("txt", _text),
    ("png", _png),
    ("svg", _svg),
    ("pdf", _pdf),
    ("xlsx", _xlsx),
)
