"""The store of files that the settings ask for; S3's library is loaded only where it is used."""

from pathlib import Path

from common.errors import Misconfigured
from common.storage.blob_store import BlobStore
from common.storage.folder import FolderBlobStore
from common.storage.location import FolderLocation, parse_location


def open_store(url: str | None, *, default: Path, production: bool) -> BlobStore:
    """Return the store at *url*, or in the folder *default*. Raises `Misconfigured`. Make it after a fork."""
    location = parse_location(url, production=production) if url else FolderLocation(default)
    if isinstance(location, FolderLocation):
        return _folder(location.path)
    from common.storage.s3 import S3BlobStore  # noqa: PLC0415 (it takes 40 MiB and half a second)

    return S3BlobStore(location)


def _folder(path: Path) -> BlobStore:
    try:
        return FolderBlobStore(path)
    except OSError as error:
        raise Misconfigured(f"The folder of files {path} can't be used: {error.strerror}.") from error
