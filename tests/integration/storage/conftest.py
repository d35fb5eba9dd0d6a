"""The two stores of files, for one suite."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from common.ids import new_id
from common.storage.blob_store import BlobStore
from common.storage.open_store import open_store
from tests.integration.storage.s3_server import S3Server, s3_server

BLOCK_BYTES = 1024 * 1024


class Place(Protocol):
    """A place of files as an operator sees it: what is visible in it, and what is still coming."""

    url: str

    def visible(self) -> list[str]: ...

    def coming(self) -> list[str]: ...


@dataclass(frozen=True)
class FolderPlace:
    folder: Path

    @property
    def url(self) -> str:
        return f"file://{self.folder}"

    def visible(self) -> list[str]:
        return [path.name for path in self.folder.glob("[!.]*/*")]

    def coming(self) -> list[str]:
        return [path.name.partition(".")[0] for path in (self.folder / ".incoming").iterdir()]


@dataclass(frozen=True)
class S3Place:
    server: S3Server

    @property
    def url(self) -> str:
        return self.server.url

    def visible(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.server.stored()]

    def coming(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.server.uploads()]


@pytest.fixture(scope="session")
def session_s3() -> Iterator[S3Server]:
    """Run one server for the session; a test asks for `s3`, which is empty and well."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def session_s3_store(session_s3: S3Server) -> BlobStore:
    """Return a store on that server; making its client takes longer than most tests."""
    return opened(session_s3.url)


@pytest.fixture
def s3(session_s3: S3Server) -> Iterator[S3Server]:
    """Return an S3 that is empty and has no faults."""
    yield session_s3
    session_s3.empty()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place, once as a folder and once on S3."""
    if request.param == "folder":
        return FolderPlace(tmp_path / "blobs")
    return S3Place(request.getfixturevalue("s3"))


@pytest.fixture
def store(request: pytest.FixtureRequest, place: Place) -> BlobStore:
    """Return the store in that place."""
    if isinstance(place, S3Place):
        stored: BlobStore = request.getfixturevalue("session_s3_store")
        return stored
    return opened(place.url)


def opened(url: str) -> BlobStore:
    """Return the store that a process with this setting has."""
    return open_store(url, default=Path("/nowhere"), production=True)


def blocks(count: int) -> Iterator[bytes]:
    """Yield so many MiB, each of another content."""
    for number in range(count):
        yield number.to_bytes(8, "big") * (BLOCK_BYTES // 8)


def ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]
