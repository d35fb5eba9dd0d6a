"""The embedded servers by themselves: what they keep when they are started again."""

from pathlib import Path

import pymongo
import pytest

from deploy.local.servers import Mongo, free_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in which one document was written, on a port that is given up."""
    first = Mongo(tmp_path)
    first.start()
    with pymongo.MongoClient[dict[str, object]](first.url) as client:
        client["kept"]["things"].insert_one({"_id": 1})
    first.stop()
    return tmp_path


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_folder_of_before_starts_on_another_port_with_what_it_held(folder: Path, end: str) -> None:
    for _ in range(2):
        moved = Mongo(folder, free_port())
        try:
            moved.start()

            with pymongo.MongoClient[dict[str, object]](moved.url) as client:
                assert client["kept"]["things"].find_one() == {"_id": 1}
                assert client.admin.command("hello")["me"] == f"127.0.0.1:{moved.port}"
        finally:
            getattr(moved, end)()
