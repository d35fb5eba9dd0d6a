"""Real files of many sorts are what their names say, and what is in them is found."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from workers.files.examining import media_types as types
from workers.files.examining.examiner import Examiner

FILES = Path(__file__).parents[4] / "shared" / "data" / "files"
BY_SUFFIX: Mapping[str, str] = {
    "": types.PLAIN,
    ".bin": "application/octet-stream",
    ".csv": types.CSV,
    ".docx": types.DOCX,
    ".epub": types.EPUB,
    ".html": types.HTML,
    ".ipynb": types.JSON,
    ".jpg": "image/jpeg",
    ".json": types.JSON,
    ".m4a": "video/mp4",  # a container for both; only its tracks tell
    ".md": types.PLAIN,
    ".mp3": "audio/mpeg",
    ".msg": types.MSG,
    ".pdf": types.PDF,
    ".pptx": types.PPTX,
    ".rtf": "text/rtf",
    ".wav": "audio/x-wav",
    ".xls": types.XLS,
    ".xlsx": types.XLSX,
    ".xml": types.RSS,
    ".zip": types.ZIP,
}
FOUND: Mapping[str, Mapping[str, Any]] = {
    "test.docx": {"pages": 2},
    "test.pptx": {"slides": 6},
    "test.jpg": {"width_px": 1615, "height_px": 1967},
    "test_mskanji.csv": {"encoding": "cp932", "delimiter": ",", "rows": 4, "columns": 3},
    "test_files.zip": {"entries": 7, "unpacked_bytes": 1_481_847},
    "pdf_multipage.pdf": {"pages": 3, "is_encrypted": False},
    "test.json": {"encoding": "utf-8", "top_level": "object", "items": 5},
    "xlsx_image_end.xlsx": {
        "sheet_count": 2,
        "sheets": [
            {"name": "Sheet", "rows": 10, "columns": 2},
            {"name": "Budget", "rows": 10, "columns": 2},
        ],
    },
}
ALL = sorted(path for path in FILES.glob("*") if path.is_file()) if FILES.is_dir() else []


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as made_once:
        yield made_once


@pytest.mark.parametrize("path", [path for path in ALL if path.name in FOUND], ids=lambda path: path.name)
def test_what_is_in_a_real_file_is_found(examiner: Examiner, path: Path) -> None:
    with path.open("rb") as file:
        found = examiner.examine(file, path.stat().st_size)

    assert (found.media_type, found.found, found.problem) == (BY_SUFFIX[path.suffix], FOUND[path.name], None)


@pytest.mark.slow
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_real_file_is_what_its_name_says(examiner: Examiner, path: Path) -> None:
    with path.open("rb") as file:
        found = examiner.examine(file, path.stat().st_size)

    assert (found.media_type, found.problem) == (BY_SUFFIX[path.suffix], None)
