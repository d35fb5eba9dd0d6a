"""What the demo shares: the same at every run, and what its counts are held against."""

import io
import zipfile

import pytest

from deploy.local import sample_files as made


def test_the_same_seed_makes_the_same_files() -> None:
    folder = made.sample_folder(7)

    assert made.sample_folder(7) == folder
    assert made.sample_folder(8) != folder
    assert made.sample_archive(7, folder) == made.sample_archive(7, folder)


def test_the_folder_has_copies_of_its_own_files() -> None:
    folder = made.sample_folder(7)

    assert len(folder) == made.DISTINCT + made.COPIES
    assert len(set(folder.values())) == made.DISTINCT


def test_the_zip_repeats_itself_and_the_folder_and_has_two_entries_that_can_not_be_had() -> None:
    folder = made.sample_folder(7)
    archive = made.sample_archive(7, folder)

    assert len(archive.good) + len(archive.refused) == 1_000
    assert len(set(archive.good.values()) - set(folder.values())) == made.ENTRIES_NEW
    with zipfile.ZipFile(io.BytesIO(archive.content)) as found:
        assert {one.filename for one in found.infolist()} == {*archive.good, *archive.refused}
        assert all(found.read(name) == content for name, content in archive.good.items())
        with pytest.raises(zipfile.BadZipFile):
            found.read(made.DAMAGED)
