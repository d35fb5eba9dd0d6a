"""Memory is flat: a file of any size takes what a file of 40 MiB takes."""

from pathlib import Path

import pytest

from tests.integration.storage.conftest import FolderPlace, Place
from tests.integration.storage.s3_server import S3Server
from tests.integration.storage.savers import saver

GROWTH_MAX_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024


def measured(place_url: str, mib: int) -> tuple[int, int]:
    with saver("measure", place_url, str(mib)) as process:
        said = process.communicate(timeout=300)[0].split()
    return int(said[0]), int(said[1])


def test_a_large_file_takes_no_more_memory_in_a_folder(tmp_path: Path) -> None:
    place: Place = FolderPlace(tmp_path / "blobs")

    read_bytes, growth_bytes = measured(place.url, 300)

    assert read_bytes == 300 * MIB
    assert growth_bytes < GROWTH_MAX_BYTES


@pytest.mark.slow
def test_a_large_file_takes_no_more_memory_on_s3(s3: S3Server) -> None:
    read_bytes, growth_bytes = measured(s3.url, 300)

    assert read_bytes == 300 * MIB
    assert growth_bytes < GROWTH_MAX_BYTES
