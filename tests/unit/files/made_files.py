"""Files of many sorts, sound and hostile, made from nothing; no example of them is kept in the tree."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence

OFFICE = "http://schemas.openxmlformats.org"
RELATIONS = f"{OFFICE}/package/2006/relationships"
RELATION_TYPES = f"{OFFICE}/officeDocument/2006/relationships"
SHEET_XML = f"{OFFICE}/spreadsheetml/2006/main"
MAIN = "application/vnd.openxmlformats-officedocument"


def zipped(parts: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of *parts*, in their order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def content_types(part: str, media_type: str) -> str:
    return (
        f'<?xml version="1.0"?><Types xmlns="{OFFICE}/package/2006/content-types">'
        f'<Override PartName="/{part}" ContentType="{media_type}"/></Types>'
    )


def xlsx(*sheets: str, names: Sequence[str] = ()) -> bytes:
    """Return a workbook of sheets, each given as the whole of its XML."""
    names = names or [f"Sheet{number}" for number in range(1, len(sheets) + 1)]
    places = list(enumerate(names, start=1))
    listed = "".join(f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>' for at, name in places)
    related = "".join(
        f'<Relationship Id="r{at}" Type="{RELATION_TYPES}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at, _name in places
    )
    return zipped(
        {
            "[Content_Types].xml": content_types("xl/workbook.xml", f"{MAIN}.spreadsheetml.sheet.main+xml"),
            "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" '
            f'Type="{RELATION_TYPES}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{SHEET_XML}" xmlns:r="{RELATION_TYPES}">'
            f"<sheets>{listed}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}">{related}</Relationships>',
            **{f"xl/worksheets/sheet{at}.xml": sheet for at, sheet in enumerate(sheets, start=1)},
        }
    )


def sheet(*cells: str, before: str = "", dimension: str = "") -> str:
    """Return a sheet whose *cells* (`B2`, in order) each hold a number."""
    rows: dict[str, str] = {}
    for cell in cells:
        row = cell.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        rows[row] = rows.get(row, "") + f'<c r="{cell}"><v>1</v></c>'
    data = "".join(f'<row r="{row}">{filled}</row>' for row, filled in rows.items())
    said = f'<dimension ref="{dimension}"/>' if dimension else ""
    return f'{before}<worksheet xmlns="{SHEET_XML}">{said}<sheetData>{data}</sheetData></worksheet>'


SOUND_XLSX = xlsx(sheet("A1", "B1", "A2"), sheet("C4"), names=["Sales", "Costs"])


def docx(*, pages: int | None = 3) -> bytes:
    said = "" if pages is None else f"<Pages>{pages}</Pages>"
    return zipped(
        {
            "[Content_Types].xml": content_types(
                "word/document.xml", f"{MAIN}.wordprocessingml.document.main+xml"
            ),
            "word/document.xml": "<w:document/>",
            "docProps/app.xml": f"<Properties><Application>Word</Application>{said}</Properties>",
        }
    )


def pptx(slides: int) -> bytes:
    return zipped(
        {
            "[Content_Types].xml": content_types(
                "ppt/presentation.xml", f"{MAIN}.presentationml.presentation.main+xml"
            ),
            "ppt/presentation.xml": "<p:presentation/>",
            **{f"ppt/slides/slide{number}.xml": "<p:sld/>" for number in range(1, slides + 1)},
            "ppt/slides/_rels/slide1.xml.rels": "<Relationships/>",
        }
    )


def open_document(kind: str, **parts: str) -> bytes:
    """Return an OpenDocument file of *kind* (`text`, `spreadsheet`), with *parts* as XML files."""
    files = {f"{name}.xml": content for name, content in parts.items()}
    manifest = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    declared = f"application/vnd.oasis.opendocument.{kind}"
    return zipped({"mimetype": declared, "META-INF/manifest.xml": manifest, **files})


def pdf(objects: Sequence[bytes], *, trailer: bytes = b"") -> bytes:
    """Return a PDF of *objects*, numbered from 1, the catalog first."""
    body = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
        + b"trailer\n<</Root 1 0 R /Size %d %b>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, len(body))
    )


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def pages(count: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + count))
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    return pdf([CATALOG, b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, count), *[leaf] * count])


def encrypted_pdf() -> bytes:
    """Return one that says that it needs a password which is not the empty one."""
    lock = b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P -4>>" % (b"41" * 32, b"42" * 32)
    return pdf(
        [CATALOG, b"<</Type/Pages/Kids[]/Count 0>>", lock],
        trailer=b"/Encrypt 3 0 R/ID[<%b><%b>]" % (b"43" * 16, b"43" * 16),
    )


def png(width: int, height: int) -> bytes:
    """Return the header of one, and no picture."""
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")
    )


def gif(frames: int) -> bytes:
    frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return b"GIF89a\x01\0\x01\0\0\0\0" + frame * frames + b";"


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<I2i2H6I", 40, width, height, 1, 24, *[0] * 6)


def ole(stream: str) -> bytes:
    """Return what begins as an OLE container and names *stream* in its directory."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504 + stream.encode("utf-16-le").ljust(128, b"\0")


def zip_of_claimed_entries(count: int) -> bytes:
    """Return a zip whose index has *count* entries, none of which is there (zip64)."""
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, *[0] * 7, 1, *[0] * 6) + b"a"
    index = record * count
    start = b"PK\3\4" + b"\0" * 26
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(index), len(start))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(start) + len(index), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return start + index + end_64 + locator + end


def claiming(archive: bytes, name: str, unpacked_bytes: int) -> bytes:
    """Return *archive* with another size of *name* in its index, where readers look for it."""
    changed = bytearray(archive)
    at = archive.index(b"PK\1\2")
    while name.encode() != archive[at + 46 : at + 46 + len(name)]:
        at = archive.index(b"PK\1\2", at + 4)
    changed[at + 24 : at + 28] = struct.pack("<L", unpacked_bytes)
    return bytes(changed)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
