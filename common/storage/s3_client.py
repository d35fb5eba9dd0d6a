"""The client of S3: how long it waits, how often it tries, and what its failures are to us."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.session import Session  # type: ignore[import-untyped]

from common.errors import Misconfigured, StorageUnavailable
from common.storage.location import S3Location

CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 10
ATTEMPTS = 4
CONNECTIONS = 64
_ABSENT = {"404", "NoSuchKey", "NotFound"}


def connect(location: S3Location) -> Any:
    """Make a client for *location*, in a way that every compatible server understands.

    Raises `Misconfigured` if what botocore reads of itself, as AWS_PROFILE, can't be.
    """
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        # Checksums of the newer kind are unknown to many servers. What is sent is checked all the same: its
        # SHA-256 is signed.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    keys = {"aws_access_key_id": location.access_key, "aws_secret_access_key": location.secret_key}
    where = {"endpoint_url": location.endpoint_url, "region_name": location.region}
    try:
        return Session().create_client("s3", **where, **keys, config=config)
    except BotoCoreError as error:
        raise Misconfigured(f"No client of S3 can be made: {error}.") from error


@contextmanager
def server() -> Iterator[None]:
    """Turn the failures of the server that the block asks into `StorageUnavailable`."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StorageUnavailable:
    """Return what the caller is told of a server's failure; nothing of ours is in the sentence."""
    if isinstance(error, ClientError) and status_of(error) == HTTPStatus.FORBIDDEN:
        return StorageUnavailable("The store of files refuses this service. Nothing was kept.", retry_after_s=60)
    return StorageUnavailable("The store of files does not answer well. Nothing was kept.", retry_after_s=5)


def is_absent(error: ClientError) -> bool:
    """Tell whether the server says that there is no such thing, rather than that it has no such bucket."""
    return error.response.get("Error", {}).get("Code") in _ABSENT


def status_of(error: ClientError) -> int:
    """Return the status of an answer that is an error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def check_bucket(client: Any, location: S3Location) -> None:
    """Refuse a bucket that is not there or not ours. Raises `Misconfigured`; a server that is away is let be."""
    where = f"The bucket {location.bucket} at {urlsplit(location.endpoint_url).netloc}"
    try:
        client.head_bucket(Bucket=location.bucket)
    except ClientError as error:
        status = status_of(error)
        if status == HTTPStatus.NOT_FOUND:
            raise Misconfigured(f"{where} does not exist. Make it, or name another one.") from error
        if status == HTTPStatus.FORBIDDEN:
            raise Misconfigured(f"{where} refuses us. Check the keys, and that they may list it.") from error
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Misconfigured(f"{where} can't be used ({status}). Check the region and the host.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Misconfigured(f"{where} can't be asked: there are no keys, in the URL or elsewhere.") from error
    except BotoCoreError:
        return
