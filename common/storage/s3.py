"""Files in a bucket of S3, or of any server that speaks like it.

[prefix/]<id>     a whole file; its metadata `save` names the one saving that put it there
multipart uploads in progress with that key are files that are still coming
"""

import contextlib
import io
import itertools
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from common.errors import NotFound, StorageUnavailable
from common.ids import is_id, new_id
from common.storage.blob_store import Blob
from common.storage.disposition import content_disposition
from common.storage.intake import Intake
from common.storage.location import S3Location
from common.storage.s3_client import check_bucket, connect, is_absent, server, unavailable
from common.storage.s3_reader import S3Reader
from common.storage.s3_upload import PART_BYTES, S3Upload, part_sizes

READ_BYTES = 256 * 1024
AT_ONCE = 16
URL_MAX_S = 7 * 24 * 3600
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]{1,100}/[A-Za-z0-9.+-]{1,100}(; charset=[A-Za-z0-9-]{1,40})?\Z")


class S3BlobStore:
    """A `BlobStore` in the bucket at *location*. Make it after a fork; its threads may share it."""

    def __init__(self, location: S3Location) -> None:
        self._location = location
        self._client = connect(location)

    def save(self, chunks: Iterable[bytes], *, max_bytes: int, blob_id: str | None = None) -> Blob:
        """Store a stream and return what it was; see `BlobStore.save`.

        Up to a part it is one request; else parts of 8 MiB, three on their way at once, that are shown together.
        """
        blob_id = new_id() if blob_id is None else blob_id
        where = self._where(blob_id)
        with Intake(chunks, max_bytes=max_bytes, piece_bytes=part_sizes(max_bytes)) as intake:
            pieces = iter(intake)
            first = next(pieces, b"")
            if len(first) < PART_BYTES:
                self._put(where, first)
            else:
                self._put_parts(where, itertools.chain([first], pieces))
            return intake.blob(blob_id)

    def save_many(self, contents: Mapping[str, bytes]) -> None:
        """Store many small files, each under its id; see `BlobStore.save_many`.

        If some fail the others are removed again, also where they have replaced what was there.
        """
        wheres = [self._where(blob_id) for blob_id in contents]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="s3-put") as pool:
            puts = [pool.submit(self._put, *each) for each in zip(wheres, contents.values(), strict=True)]
            try:
                for put in puts:
                    put.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                self._remove(where for where, put in zip(wheres, puts, strict=True) if _succeeded(put))
                raise

    def open(self, blob_id: str) -> BinaryIO:
        """Open a stored file for reading and seeking; see `BlobStore.open`."""
        where = self._where(blob_id)
        head = self._head(where)
        if head is None:
            raise NotFound("There is no such file.")
        reader = S3Reader(self._client, where, size_bytes=head["ContentLength"], etag=head["ETag"])
        return io.BufferedReader(reader, READ_BYTES)

    def exists(self, blob_id: str) -> bool:
        """Tell whether a whole file is stored under *blob_id*."""
        return is_id(blob_id) and self._head(self._where(blob_id)) is not None

    def delete(self, blob_id: str) -> None:
        """Remove a stored file and what is still coming under its id; see `BlobStore.delete`."""
        if not is_id(blob_id):
            return
        where = self._where(blob_id)
        with server():
            self._abort_all(where)
            self._client.delete_object(**where)

    def url(self, blob_id: str, *, filename: str, media_type: str, inline: bool, lasts_s: int) -> str | None:
        """Return an address that the server itself answers with the file; see `BlobStore.url`.

        At most a week, which is the protocol's bound. Whether the file is there is not asked.
        """
        if self._location.downloads == "through":
            return None
        answer = {
            "ResponseContentDisposition": content_disposition(filename, inline=inline),
            "ResponseContentType": media_type if _MEDIA_TYPE.match(media_type) else "application/octet-stream",
        }
        with server():
            return str(
                self._client.generate_presigned_url(
                    "get_object", Params={**self._where(blob_id), **answer}, ExpiresIn=min(lasts_s, URL_MAX_S)
                )
            )

    def check(self) -> None:
        """Refuse a bucket that is not there or not ours; see `BlobStore.check`."""
        check_bucket(self._client, self._location)

    def _where(self, blob_id: str) -> dict[str, str]:
        """Return bucket and key of *blob_id*. Only an id of ours becomes part of a key."""
        if not is_id(blob_id):
            raise NotFound("There is no such file.")
        return {"Bucket": self._location.bucket, "Key": self._location.key(blob_id)}

    def _put(self, where: dict[str, str], content: bytes) -> None:
        """Store what fits into one request."""
        mark = secrets.token_hex(8)
        with self._leaving_nothing(where, mark):
            try:
                self._client.put_object(**where, Body=content, Metadata={"save": mark})
            except (BotoCoreError, ClientError) as error:
                # It may have been done all the same, and only the answer was lost.
                self._demand(where, mark, len(content), error)

    def _put_parts(self, where: dict[str, str], pieces: Iterable[bytes]) -> None:
        mark = secrets.token_hex(8)
        with self._leaving_nothing(where, mark), self._upload(where, mark) as upload:
            size_bytes = 0
            for piece in pieces:
                size_bytes += len(piece)
                with server():
                    upload.send(piece)
            self._finish(upload, where, mark, size_bytes)

    def _finish(self, upload: S3Upload, where: dict[str, str], mark: str, size_bytes: int) -> None:
        failure: Exception | None = None
        try:
            upload.finish()
        except (BotoCoreError, ClientError) as error:
            failure = error  # one that was done but not answered fails when it is tried again
        self._demand(where, mark, size_bytes, failure)

    @contextlib.contextmanager
    def _upload(self, where: dict[str, str], mark: str) -> Iterator[S3Upload]:
        """Begin a multipart upload; when the block raises, nothing of it is left."""
        upload = S3Upload(self._client, where, self._begin(where, mark))
        try:
            yield upload
        except BaseException:
            upload.stop()
            with contextlib.suppress(BotoCoreError, ClientError):
                upload.abort()
            raise
        finally:
            upload.stop()

    def _begin(self, where: dict[str, str], mark: str) -> str:
        """Begin a multipart upload and return its id. One that was begun but not answered is aborted."""
        begun = ""
        is_sure = False
        try:
            answer = self._client.create_multipart_upload(**where, Metadata={"save": mark})
            begun = str(answer["UploadId"])
            is_sure = not answer["ResponseMetadata"]["RetryAttempts"]
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from error
        finally:
            if not is_sure:
                with contextlib.suppress(BotoCoreError, ClientError):
                    self._abort_all(where, but=begun)
        return begun

    def _demand(self, where: dict[str, str], mark: str, size_bytes: int, failure: Exception | None) -> None:
        """Make sure that what was sent was stored, although the server may have said *failure*.

        Raises `StorageUnavailable`. Where the server said yes another saving may have replaced ours since.
        """
        head = self._head(where)
        is_ours = head is not None and head["Metadata"].get("save") == mark
        if is_ours and head is not None and head["ContentLength"] == size_bytes:
            return
        if head is None or is_ours or failure is not None:
            raise unavailable(failure or OSError("What is stored is not what was sent.")) from failure

    @contextlib.contextmanager
    def _leaving_nothing(self, where: dict[str, str], mark: str) -> Iterator[None]:
        """Remove what this saving has shown when the block raises; what a server refuses is left to `delete`."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(BotoCoreError, ClientError, StorageUnavailable):
                head = self._head(where)
                if head is not None and head["Metadata"].get("save") == mark:
                    self._client.delete_object(**where)
            raise

    def _head(self, where: dict[str, str]) -> dict[str, Any] | None:
        """Return what the server knows of a file, None if there is none."""
        with server():
            try:
                return dict(self._client.head_object(**where))
            except ClientError as error:
                if not is_absent(error):
                    raise
                # A bucket that is gone is no proof that the file never was.
                self._client.head_bucket(Bucket=where["Bucket"])
                return None

    def _abort_all(self, where: dict[str, str], *, but: str = "") -> None:
        """Abort every upload in progress under a key, but for one."""
        pages = self._client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=where["Bucket"], Prefix=where["Key"]):
            for upload in page.get("Uploads", ()):
                if upload["Key"] == where["Key"] and upload["UploadId"] != but:
                    S3Upload(self._client, where, upload["UploadId"]).abort()

    def _remove(self, wheres: Iterable[dict[str, str]]) -> None:
        """Remove files as long as the server lets us."""
        with contextlib.suppress(BotoCoreError, ClientError):
            for where in wheres:
                self._client.delete_object(**where)


def _succeeded(put: Future[None]) -> bool:
    return not put.cancelled() and put.exception() is None
