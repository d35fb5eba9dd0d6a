# ruff: noqa: RUF001 (look-alike letters of other scripts are what is tried)
"""Files as they come: what is read from them, line by line, and what is refused."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import JobFailed
from common.text.lines import RECORD_MAX_CHARS
from common.tickets.reading.rows import Refusal, Row
from common.tickets.reading.source import Format, detect_form, read_header, read_rows

DATA = Path(__file__).parents[4] / "shared" / "data"
ODD_FILES = sorted((DATA / "hostile" / "csv" / "csvs").glob("*.csv"))


def read(content: bytes, format_: Format = "csv") -> list[Row | Refusal]:
    file = io.BytesIO(content)
    return list(read_rows(file, detect_form(file, format_)))


def rows(content: bytes, format_: Format = "csv") -> list[tuple[int, list[Any]]]:
    return [(row.line, list(row.cells)) for row in read(content, format_) if isinstance(row, Row)]


def refusals(content: bytes, format_: Format = "csv") -> list[Refusal]:
    return [row for row in read(content, format_) if isinstance(row, Refusal)]


OWN_FILE = (
    b'\xef\xbb\xbfa,b\r\n1,"say ""x"",\r\nthen y"\r\n2,""',
    [{"a": "1", "b": 'say "x",\r\nthen y'}, {"a": "2", "b": ""}],
)


def odd_files() -> list[tuple[bytes, list[dict[str, str]]]]:
    """Return each odd file with what it means."""
    found = [OWN_FILE]
    for path in ODD_FILES:
        said = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        if path.stem == "location_coordinates":  # its JSON has another telephone number than its CSV, and no list
            said = [{**said, "Contact Phone Number": "2095257564"}]
        found.append((path.read_bytes(), said))
    return found


@pytest.mark.parametrize(("content", "said"), odd_files(), ids=["own", *(path.stem for path in ODD_FILES)])
def test_odd_files_come_out_as_they_are_meant(content: bytes, said: list[dict[str, str]]) -> None:
    found = [dict(zip(row.header, row.cells, strict=True)) for row in read(content) if isinstance(row, Row)]

    assert found == said


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_end_is_read_and_counted(ending: str) -> None:
    content = ending.join(["a,b", "1,2", "", '3,"x', 'y"', "5,6"]).encode()

    assert rows(content) == [(2, ["1", "2"]), (4, ["3", f"x{ending}y"]), (6, ["5", "6"])]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    lines = [["id", "text", "tags"], ["1", "one", "x"], ["2", "two", ""]]

    found = rows("\n".join(delimiter.join(line) for line in lines).encode())

    assert found == [(2, lines[1]), (3, lines[2])]


def test_other_signs_in_the_text_do_not_pass_for_the_delimiter() -> None:
    content = b"id;price\n1;1,50\n2;2,75\n3;x|y\n"

    assert rows(content) == [(2, ["1", "1,50"]), (3, ["2", "2,75"]), (4, ["3", "x|y"])]


def test_one_column_of_sentences_with_commas_is_one_column() -> None:
    assert rows(b"message\nhello, world\nwell, then, go\nfine\n")[1] == (3, ["well, then, go"])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Größe ʤ 漢字 🎫"),
        ("utf-8-sig", "Größe ʤ 漢字 🎫"),
        ("utf-16", "Größe ʤ 漢字 🎫"),
        ("utf-32", "Größe ʤ 漢字 🎫"),
        ("cp1252", "Schöne Grüße – naïve café, señor"),
        ("cp1251", "Привет, у меня проблема с картой"),
        ("cp932", "佐藤太郎さんのカードが届きません。東京"),
        ("gb18030", "你好，我的银行卡丢了，怎么办"),
    ],
)
def test_the_encoding_is_found(encoding: str, text: str) -> None:
    content = "id,message\n" + "".join(f'{number},"{text}"\n' for number in range(5))

    assert rows(content.encode(encoding)) == [(number + 2, [str(number), text]) for number in range(5)]


def test_a_shift_jis_file_from_outside_is_read() -> None:
    path = DATA / "files" / "test_mskanji.csv"
    content = path.read_bytes() if path.exists() else "名前,年齢,住所\r\n髙橋淳,35,名古屋\r\n".encode("cp932")

    assert rows(content)[-1][1] == ["髙橋淳", "35", "名古屋"]


def test_one_line_of_other_bytes_in_a_utf8_file_keeps_its_bytes_apart() -> None:
    content = b"a,b\n" + "1,é\n".encode() * 20 + b"2,\xff\n3,x\n"

    found = rows(content)

    assert found[20] == (22, ["2", "\udcff"])
    assert found[21] == (23, ["3", "x"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file-empty"),
        (b"\n\n\n", "file-empty"),
        (b"\xef\xbb\xbf", "file-empty"),
        (bytes(range(128, 256)) * 20, "encoding-unknown"),
        (b"\xff\xfea,b\n\x00", "encoding-broken"),
        (b'"a,b\n1,2\n', "header-unreadable"),
        (b"a" * 256 + b"\n1\n", "header-unreadable"),
        (b"a" * (RECORD_MAX_CHARS + 1) + b"\n1\n", "header-unreadable"),
        (b"," * 1_000 + b"\n", "too-many-columns"),
    ],
)
def test_a_file_that_can_not_be_begun_fails_by_name(content: bytes, code: str) -> None:
    with pytest.raises(JobFailed) as failed:
        read(content)

    assert failed.value.shown_code == code


def test_empty_and_repeated_names_of_columns_become_distinct() -> None:
    file = io.BytesIO(b",a,a (2),a,\n1,2,3,4,5\n")

    assert read_header(file, detect_form(file, "csv")) == ("column 1", "a", "a (2)", "a (3)", "column 5")


@pytest.mark.parametrize("name", ["_id", "$set", "org_id", "a.b", "a\0b"])
def test_no_name_of_a_column_is_special(name: str) -> None:
    file = io.BytesIO(f"{name},message\n1,x\n".encode())

    assert read_header(file, detect_form(file, "csv")) == (name, "message")


def test_a_row_of_another_width_is_refused_and_the_next_goes_on() -> None:
    content = b"a,b\n1\n1,2,3\n4,5\n"

    assert [(refusal.line, refusal.reason) for refusal in refusals(content)] == [
        (2, "The row has 1 values where the header has 2."),
        (3, "The row has 3 values where the header has 2."),
    ]
    assert rows(content) == [(4, ["4", "5"])]


def test_a_quote_in_the_wrong_place_is_refused_not_guessed() -> None:
    content = b'a,b\n1,"he said "no" to me"\n2,x\n'

    assert "written twice" in refusals(content)[0].reason
    assert rows(content) == [(3, ["2", "x"])]


def test_a_quote_that_is_never_closed_is_refused_with_its_lines() -> None:
    content = b'a,b\n1,x\n2,"y\n3,z\n4,z\n'

    [refusal] = refusals(content)

    assert refusal.line == 3
    assert "lines 3 to 5" in refusal.reason
    assert "never closed" in refusal.reason


def test_a_value_without_end_is_bounded_and_reading_goes_on_after_it() -> None:
    content = b'a,b\n1,"' + b"y\n" * 70_000 + b"2,z\n"

    assert "is a quote left open?" in refusals(content)[0].reason
    assert rows(content)[-1][1] == ["2", "z"]


def test_a_line_over_the_bound_is_refused_and_the_next_goes_on() -> None:
    content = b"a,b\n" + b"x" * RECORD_MAX_CHARS * 3 + b"\n1,2\n"

    assert refusals(content)[0].line == 2
    assert rows(content) == [(3, ["1", "2"])]


def test_broken_lines_of_json_are_refused_one_by_one() -> None:
    content = b'{"a": 1}\nnot json\n[1]\n\n{"a": "\\ud800"}\n' + b"[" * 100_000 + b'\n{"a": NaN}\n{"b": "x"}'

    assert rows(content, "jsonl") == [(1, [1]), (8, ["x"])]
    assert [refusal.line for refusal in refusals(content, "jsonl")] == [2, 3, 5, 6, 7]


def test_reading_twice_gives_the_same_rows() -> None:
    file = io.BytesIO(b"a,b\n1,2\nbroken\n3,4\n")
    form = detect_form(file, "csv")

    assert list(read_rows(file, form)) == list(read_rows(file, form))
