"""What is read from contents: sound, damaged and made to harm."""

import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.files import made_files as made
from tests.unit.files.contents import examined, held
from workers.files.examining.content import TEXT_MAX_BYTES, Unreadable
from workers.files.examining.zip_index import measure, open_zip, read_member

PASSWORD = "is protected by a password."


@pytest.mark.parametrize(
    ("content", "encoding", "lines"),
    [
        (b"one", "utf-8", 1),
        (b"one\ntwo\n", "utf-8", 2),
        (b"one\r\ntwo\rthree", "utf-8", 3),
        (b"\n\n\n", "utf-8", 3),
        (b"\xef\xbb\xbfone\n", "utf-8-sig", 1),
        ("one\ntwo\n".encode("utf-16"), "utf-16", 2),
        ("Größe und Höhe\nschön, übermäßig, grün\n".encode("cp1252") * 9, "cp1252", 18),
    ],
)
def test_of_text_the_encoding_and_the_lines_are_told(content: bytes, encoding: str, lines: int) -> None:
    found = examined(content)

    assert (found.found, found.problem) == ({"encoding": encoding, "lines": lines}, None)


@pytest.mark.parametrize(
    ("content", "delimiter", "rows", "columns"),
    [
        (b"a,b\n1,2\n", ",", 2, 2),
        (b"a,b\n1,2", ",", 2, 2),
        (b"\n\na,b\n\n\n1,2\n\n", ",", 2, 2),
        (b"a,b\r\n1,2\r\n\r\n3,4\r\n", ",", 3, 2),
        (b"a,b\r1,2\r", ",", 2, 2),
        (b"a;b;c\n1;2;3\n", ";", 2, 3),
        (b"a\tb\n1\t2\n", "\t", 2, 2),
        (b'a,b\n"1\n\n1",2\n3,"x ""y"", z"\n', ",", 3, 2),
        ("a;b\n1;2\n".encode("utf-16"), ";", 2, 2),
    ],
)
def test_of_a_table_delimiter_rows_and_columns_are_told(
    content: bytes, delimiter: str, rows: int, columns: int
) -> None:
    found = examined(content)

    assert found.problem is None
    assert {name: found.found[name] for name in ("delimiter", "rows", "columns")} == {
        "delimiter": delimiter,
        "rows": rows,
        "columns": columns,
    }


def test_a_table_of_mixed_encodings_is_counted() -> None:
    found = examined("a,b\nä,ü\n".encode() * 100 + "ö,ß\n".encode("cp1252") + "ä,ü\n".encode() * 100)

    assert (found.found["encoding"], found.found["rows"], found.problem) == ("utf-8", 301, None)


def test_rows_after_a_quote_that_is_never_closed_are_counted_again() -> None:
    found = examined(b'a,b\n1,2\n3,"' + b"x,y\n" * 200_000)

    assert found.problem == "Rows that can't be read: 1; the first begins in line 3."
    assert found.found["rows"] > 100_000


def test_a_text_larger_than_is_looked_at_says_how_much_was() -> None:
    found = examined(b"x" * (TEXT_MAX_BYTES + 10))

    assert found.found == {"encoding": "utf-8", "lines": 1, "examined_bytes": TEXT_MAX_BYTES}


def test_a_beginning_says_that_it_is_one() -> None:
    assert examined(b"a,b\n1,2\n", size_bytes=1000).found["examined_bytes"] == 8


@pytest.mark.parametrize("content", [made.SOUND_XLSX, made.pages(2), made.docx()], ids=["xlsx", "pdf", "docx"])
def test_the_beginning_of_what_ends_with_its_index_is_not_read(content: bytes) -> None:
    found = examined(content, size_bytes=1_000_000)

    assert found.problem is None or "too large" in found.problem
    assert found.found == {"examined_bytes": len(content)}


@pytest.mark.parametrize(
    ("content", "top_level", "items"),
    [(b'{"a": 1, "b": {}}', "object", 2), (b"\xef\xbb\xbf[1, 2, 3]", "array", 3)],
)
def test_of_json_the_top_level_is_told(content: bytes, top_level: str, items: int) -> None:
    found = examined(content)

    assert (found.found["top_level"], found.found["items"], found.problem) == (top_level, items, None)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a": [' + b"1," * 50_000])
def test_json_that_nests_too_deep_or_breaks_off_is_a_problem(content: bytes) -> None:
    found = examined(content)

    assert found.problem
    assert found.problem.startswith("It is not JSON, in line 1: ")


def test_json_lines_are_counted_without_the_empty_ones() -> None:
    assert examined(b'{"a": 1}\n\n{"a": 2}\n{"a": 3}').found["rows"] == 3


def test_of_a_workbook_each_sheet_is_told() -> None:
    found = examined(made.SOUND_XLSX)

    assert found.found == {
        "sheet_count": 2,
        "sheets": [{"name": "Sales", "rows": 2, "columns": 2}, {"name": "Costs", "rows": 4, "columns": 3}],
    }


def test_of_many_sheets_the_first_fifty_are_told() -> None:
    found = examined(made.xlsx(*[made.sheet("A1")] * 60))

    assert (found.found["sheet_count"], len(found.found["sheets"])) == (60, 50)


def test_of_an_open_document_workbook_each_sheet_is_told() -> None:
    cells = '<table:table-cell office:value-type="float" office:value="1"/>' * 3
    content = (
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:body><office:spreadsheet>'
        f'<table:table table:name="One"><table:table-row>{cells}</table:table-row></table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )

    found = examined(made.open_document("spreadsheet", content=content))

    assert found.found["sheets"] == [{"name": "One", "rows": 1, "columns": 3}]


def test_a_name_is_shown_without_what_is_not_seen() -> None:
    found = examined(made.xlsx(made.sheet("A1"), names=["a\N{RIGHT-TO-LEFT OVERRIDE}b" + "x" * 200]))

    assert found.found["sheets"][0]["name"] == "a\ufffdb" + "x" * 97


ENTITIES = '<!DOCTYPE w [<!ENTITY a "lol">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)


@pytest.mark.parametrize(
    "declared",
    [f"{ENTITIES}]>", '<!DOCTYPE w [<!ENTITY k SYSTEM "file:///etc/passwd">]>'],
    ids=["a bomb", "an external one"],
)
def test_no_entity_of_a_workbook_is_resolved(declared: str) -> None:
    hostile = made.sheet("A1", before=declared).replace("><v>1</v>", ' t="str"><v>&k;</v>')

    found = examined(made.xlsx(hostile))

    assert (found.found, found.problem) == ({}, "The workbook is damaged.")


def test_a_dimension_that_is_only_claimed_costs_nothing() -> None:
    found = examined(made.xlsx(made.sheet("A1", dimension="A1:XFD1048576")))

    assert found.found["sheets"] == [{"name": "Sheet1", "rows": 1, "columns": 1}]


def test_a_workbook_that_says_it_unpacks_to_gigabytes_is_not_unpacked() -> None:
    content = made.claiming(made.SOUND_XLSX, "xl/worksheets/sheet1.xml", 3_000_000_000)

    assert examined(content).problem == "The workbook unpacks to too much to be looked into."


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (made.docx(pages=7), {"pages": 7}),
        (made.docx(pages=None), {}),
        (made.open_document("text", meta='<meta:document-statistic meta:page-count="5"/>'), {"pages": 5}),
        (made.pptx(3), {"slides": 3}),
    ],
    ids=["docx", "docx that does not say", "odt", "pptx"],
)
def test_of_documents_pages_and_slides_are_told(content: bytes, found: dict[str, int]) -> None:
    assert examined(content).found == found


def test_of_a_pdf_the_pages_are_told() -> None:
    assert examined(made.pages(4)).found == {"pages": 4, "is_encrypted": False}


def test_an_encrypted_pdf_is_a_problem() -> None:
    found = examined(made.encrypted_pdf())

    assert (found.found, found.problem) == ({"is_encrypted": True}, f"The document {PASSWORD}")


def test_encrypted_office_is_a_problem() -> None:
    assert examined(made.ole("EncryptedPackage")).problem == f"The document {PASSWORD}"


LEAF = b"<</Type/Page>>"
LOOP = made.pdf([made.CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 9>>"])
SELF_REFERRING = made.pdf([b"2 0 R", b"1 0 R"])
BRANCHES = [b"<</Type/Pages/Kids[%b]/Count 9>>" % (b"%d 0 R " % (number + 1) * 10) for number in range(2, 12)]
MULTIPLYING = made.pdf([made.CATALOG, *BRANCHES, LEAF])
NESTED = made.pdf([made.CATALOG, b"[" * 500_000])
CUT = made.pages(3)[:150]


@pytest.mark.parametrize(
    "content",
    [LOOP, SELF_REFERRING, MULTIPLYING, NESTED, CUT],
    ids=["pages in a loop", "objects in a loop", "pages that multiply", "nested without end", "cut off"],
)
def test_a_pdf_that_leads_nowhere_is_a_problem(content: bytes) -> None:
    found = examined(content)

    assert found.media_type == "application/pdf"
    assert found.problem


def test_claimed_pages_are_not_believed() -> None:
    claimed = made.pdf([made.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 999999999>>", LEAF])

    assert examined(claimed).found["pages"] == 1


@pytest.mark.parametrize("content", [made.png(30, 20), made.bmp(30, 20)], ids=["png", "bmp"])
def test_of_an_image_the_size_is_told(content: bytes) -> None:
    assert examined(content).found == {"width_px": 30, "height_px": 20}


def test_of_an_animation_the_frames_are_told() -> None:
    assert examined(made.gif(3)).found == {"width_px": 1, "height_px": 1, "frames": 3}


def test_an_image_of_too_many_pixels_is_a_problem_and_its_size_is_told() -> None:
    found = examined(made.png(65_000, 65_000))

    assert found.found == {"width_px": 65_000, "height_px": 65_000}
    assert found.problem == "The image has too many pixels to be unpacked."


def test_an_image_cut_in_its_header_is_a_problem() -> None:
    assert examined(made.png(30, 20)[:20]).problem == "The image is damaged."


def test_of_a_zip_the_entries_are_told() -> None:
    assert examined(made.zipped({"a": "xx", "b/c": "yyy"})).found == {"entries": 2, "unpacked_bytes": 5}


def test_a_million_entries_are_counted_and_no_more() -> None:
    found = examined(made.zip_of_claimed_entries(1_000_000))

    assert found.found == {"entries": 1_000_000, "unpacked_bytes": 0}


@pytest.mark.parametrize(
    "content",
    [
        made.zipped({"a": "x"})[:-4],
        made.zipped({"a": "x"})[:30],
        made.zipped({"a": "x"}).replace(b"PK\1\2", b"PK\1\3"),
        made.zip_of_claimed_entries(3).replace(b"PK\6\6", b"PK\6\5"),
    ],
    ids=["end cut", "no index", "another record", "no zip64 end"],
)
def test_a_zip_whose_index_is_damaged_is_a_problem(content: bytes) -> None:
    assert examined(content).problem == "The archive's index is damaged or missing."


def test_a_zip_with_too_many_parts_is_not_opened() -> None:
    with held(made.zip_of_claimed_entries(20_001)) as content, pytest.raises(Unreadable, match="too many parts"):
        open_zip(content)


def test_of_a_part_no_more_is_unpacked_than_is_asked_for() -> None:
    with held(made.zipped({"a": b"\0" * 10_000_000})) as content, open_zip(content) as archive:
        assert len(read_member(archive, "a", 1000)) == 1000


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_parts_packed_as_office_never_does_are_refused(compression: int) -> None:
    with (
        held(made.zipped({"a": "x"}, compression=compression)) as content,
        open_zip(content) as archive,
        pytest.raises(Unreadable, match="packed in a way"),
    ):
        read_member(archive, "a", 10)


@given(st.dictionaries(st.text("abc/", min_size=1), st.binary(max_size=50)))
def test_an_index_is_measured_as_it_was_written(parts: dict[str, bytes]) -> None:
    with held(made.zipped(parts)) as content:
        index = measure(content)

    assert (index.entries, index.unpacked_bytes) == (len(parts), sum(map(len, parts.values())))


@given(
    st.binary(max_size=2000),
    st.sampled_from([b"", b"PK\3\4", b"%PDF-1.4\n", b"GIF89a", b"BM", b"\xff\xd8\xff\xe0"]),
)
def test_no_bytes_go_unanswered(content: bytes, start: bytes) -> None:
    assert "/" in examined(start + content).media_type
