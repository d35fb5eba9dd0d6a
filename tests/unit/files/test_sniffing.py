"""The type of a content is told by what is in it."""

from random import Random

import pytest

from common.files.findings import UNKNOWN_TYPE
from tests.unit.files import made_files as made
from tests.unit.files.contents import held
from workers.files.examining import media_types as types
from workers.files.examining.reading import name
from workers.files.examining.sniff import sniff

MACROS = "application/vnd.ms-excel.sheet.macroEnabled.main+xml"
LINES = b'{"a": 1}\n{"a": 2}\n'
CONTENTS = [
    ("empty", b"", types.EMPTY),
    ("random bytes", Random(1).randbytes(2048), UNKNOWN_TYPE),
    ("a word", b"word", types.PLAIN),
    ("prose with commas", b"Well, yes.\nOr, as some say, no, never.\nPerhaps.\n", types.PLAIN),
    ("utf-8", "Grüße aus dem Norden\n".encode(), types.PLAIN),
    ("utf-16", "\ufeffGrüße\n".encode("utf-16-le"), types.PLAIN),
    ("cp1252", "Größe und Höhe\nschön, übermäßig, grün\n".encode("cp1252") * 9, types.PLAIN),
    ("csv", b"a,b\n1,2\n3,4\n", types.CSV),
    ("semicolons", b"a;b\n1,5;2\n3;4\n", types.CSV),
    ("csv with a mark", b"\xef\xbb\xbfa,b\n1,2\n", types.CSV),
    ("csv in utf-16", "a;b\n1;2\n".encode("utf-16"), types.CSV),
    ("csv of shift-jis", "名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n".encode("cp932"), types.CSV),
    ("csv that a program could begin with", b"import,class\nint main(),2\n3,4\n", types.CSV),
    ("tabs", b"a\tb\n1\t2\n", types.TSV),
    ("carriage returns", b"a,b\r1,2\r", types.CSV),
    ("json", b'{"a": [1, 2]}', types.JSON),
    ("json over lines", b'[\n  {"a": 1},\n  {"a": 2}\n]\n', types.JSON),
    ("a large json", b'{"a": ["' + b"x" * 100_000 + b'"]}', types.JSON),
    ("json lines", LINES, types.JSON_LINES),
    ("many json lines", LINES * 10_000, types.JSON_LINES),
    ("a log", b"[2024-05-01] started\n[2024-05-02] stopped\n", types.PLAIN),
    ("a large log", b"[2024-05-01] started\n" * 10_000, types.PLAIN),
    ("markdown", b"# Title\n\nSome text.\n", types.PLAIN),
    ("html", b"<!DOCTYPE html><html><body>x</body></html>", types.HTML),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', types.SVG),
    ("svg behind a comment", b'<?xml version="1.0"?><!-- x --><svg:svg xmlns:svg="x"/>', types.SVG),
    ("rss", b'<rss version="2.0"><channel/></rss>', types.RSS),
    ("xml", b'<?xml version="1.0"?><tickets/>', types.XML),
    ("rtf", rb"{\rtf1\ansi hello}", "text/rtf"),
    ("mail", b"From: a@example.org\nTo: b@example.org\nSubject: x\n\nHello\n", "message/rfc822"),
    ("exe", b"MZ\x90\0" + bytes(56) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(200), "application/x-dosexec"),
    ("pdf", made.pages(1), types.PDF),
    ("png", made.png(2, 2), "image/png"),
    ("gif", made.gif(1), "image/gif"),
    ("zip", made.zipped({"a.txt": "a"}), types.ZIP),
    ("empty zip", made.zipped({}), types.ZIP),
    ("zip without an index", made.zipped({"a.txt": "a"})[:40], types.ZIP),
    ("xlsx", made.SOUND_XLSX, types.XLSX),
    ("xlsm", made.zipped({"[Content_Types].xml": made.content_types("xl/workbook.xml", MACROS)}), types.XLSM),
    ("docx", made.docx(), types.DOCX),
    ("pptx", made.pptx(2), types.PPTX),
    ("odt", made.open_document("text"), types.ODT),
    ("ods", made.open_document("spreadsheet"), types.ODS),
    ("odp", made.open_document("presentation"), types.ODP),
    ("epub", made.zipped({"mimetype": "application/epub+zip"}), types.EPUB),
    ("a declared type that is none of ours", made.zipped({"mimetype": "text/html"}), types.ZIP),
    ("jar", made.zipped({"META-INF/MANIFEST.MF": "x"}), types.JAR),
    ("apk", made.zipped({"META-INF/MANIFEST.MF": "x", "AndroidManifest.xml": "x"}), types.APK),
    ("doc", made.ole("WordDocument"), types.DOC),
    ("xls", made.ole("Workbook"), types.XLS),
    ("ppt", made.ole("PowerPoint Document"), types.PPT),
    ("msg", made.ole("__properties_version1.0"), types.MSG),
    ("encrypted office", made.ole("EncryptedPackage"), types.ENCRYPTED_OFFICE),
    ("another ole", made.ole("Something"), types.OLE),
]


@pytest.mark.parametrize(("content", "media_type"), [case[1:] for case in CONTENTS], ids=[c[0] for c in CONTENTS])
def test_a_type_is_told_by_content(content: bytes, media_type: str) -> None:
    with held(content) as it:
        assert sniff(it) == media_type


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_that_the_first_look_cuts_in_two_is_still_text(cut: int) -> None:
    content = b"x" * (8192 - cut) + "\N{GRINNING FACE} and so on\n".encode() * 100

    with held(content) as it:
        assert sniff(it) == types.PLAIN


def test_a_page_in_a_cell_leaves_a_table_a_table() -> None:
    with held(b"id,page\n1,<html><script>x</script></html>\n2,<html></html>\n") as it:
        assert sniff(it) == types.CSV


def test_only_the_type_is_named_where_that_is_asked() -> None:
    with held(b"a,b\n1,2\n") as it:
        found = name(it)

    assert (found.media_type, found.found, found.problem) == (types.CSV, {}, None)
