"""An import's memory stays flat, however long the file is and whatever stands in it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MEGABYTE = 1024 * 1024
BOUND_MB = 200
GROWTH_MB = 40


def messages(count: int) -> Iterator[bytes]:
    """Make a file of *count* tickets, a thousand a chunk; every tenth row comes twice."""
    yield b"customer_id,subject,message,plan\n"
    for start in range(0, count, 1_000):
        numbers = (number - 1 if number % 10 == 9 else number for number in range(start, start + 1_000))
        yield "".join(
            f'c{n % 5_000},Subject {n},"Message {n}, {"and more " * 8}",gold\n' for n in numbers
        ).encode()


def run_apart(services: Any, org_id: str, job_id: str) -> dict[str, Any]:
    """Run the job in a process of its own."""
    settings = services.settings
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "FAIRWAY_MONGO_URL": settings.mongo_url.get_secret_value(),
        "FAIRWAY_CONTROL_DATABASE": settings.control_database,
        "FAIRWAY_DATA_DATABASES": ",".join(settings.data_databases),
        "FAIRWAY_DATA_DIR": str(settings.data_dir),
    }
    script = Path(__file__).with_name("one_import.py")
    done = subprocess.run(
        [sys.executable, script, org_id, job_id],
        env=environment,
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=900,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture
def import_apart(apart_importer: Any) -> Any:
    """Return a function that imports a stream in another process and checks what memory it took."""

    def go(chunks: Iterable[bytes]) -> dict[str, Any]:
        record = apart_importer.submit(chunks)
        told = run_apart(apart_importer.services, apart_importer.org_id, record.id)
        assert told["ending"] == "succeeded", told
        assert told["peak_mb"] < BOUND_MB, told
        assert told["peak_mb"] - told["before_mb"] < GROWTH_MB, told
        result: dict[str, Any] = told["result"]
        return result

    return go


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_imported_in_flat_memory(import_apart: Any) -> None:
    result = import_apart(messages(100_000))

    assert (result["rows"], result["new"], result["repeated"]) == (100_000, 90_000, 10_000)


@pytest.mark.slow
def test_a_million_rows_are_imported_in_flat_memory(import_apart: Any) -> None:
    result = import_apart(messages(1_000_000))

    assert (result["rows"], result["new"], result["repeated"]) == (1_000_000, 900_000, 100_000)


def test_one_line_of_a_hundred_megabytes_is_one_refused_row_in_flat_memory(import_apart: Any) -> None:
    result = import_apart(chain([b"message\n"], repeat(b"x" * MEGABYTE, 100), [b"\nafter\n"]))

    assert (result["rows"], result["new"], result["refused"]) == (2, 1, 1)


@pytest.mark.slow
def test_one_line_of_a_gigabyte_is_one_refused_row_in_flat_memory(import_apart: Any) -> None:
    result = import_apart(chain([b"message\n"], repeat(b"x" * MEGABYTE, 1_024), [b"\nafter\n"]))

    assert (result["rows"], result["new"], result["refused"]) == (2, 1, 1)


def test_an_open_quote_in_a_long_file_is_read_in_flat_memory(import_apart: Any) -> None:
    lines = (b"some words\n" * 10_000 for _ in range(10))

    result = import_apart(chain([b'message\n"never closed\n'], lines))

    assert result["refused"] >= 1
    assert result["rows"] == result["refused"] + result["new"] + result["repeated"]


def test_long_rows_are_batched_in_flat_memory(import_apart: Any) -> None:
    result = import_apart(chain([b"message\n"], (b"%d %s\n" % (number, b"x" * 60_000) for number in range(2_000))))

    assert result["new"] == 2_000
