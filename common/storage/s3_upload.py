"""A large file on its way into S3: parts, several at once, shown together or not at all."""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from common.storage.s3_client import status_of

PART_BYTES = 8 * 1024 * 1024
PARTS_MAX = 10_000
IN_FLIGHT_BYTES = 24 * 1024 * 1024
SMALL_PARTS = 1_000


def part_sizes(max_bytes: int) -> Iterator[int]:
    """Return how long each part is, so that `PARTS_MAX` suffice for *max_bytes*.

    All alike below 78 GiB, for some servers want that. Above it the later ones are longer: a file that turns out
    small never needs the memory of the largest.
    """
    rest_bytes = max_bytes - SMALL_PARTS * PART_BYTES
    longer = max(PART_BYTES, -(-rest_bytes // (PARTS_MAX - SMALL_PARTS)))
    return itertools.chain(itertools.repeat(PART_BYTES, SMALL_PARTS), itertools.repeat(longer))


class S3Upload:
    """One multipart upload. `finish` shows it, `abort` leaves nothing."""

    def __init__(self, client: Any, where: dict[str, str], upload_id: str) -> None:
        self._client = client
        self._upload = {**where, "UploadId": upload_id}
        self._sending: deque[Future[dict[str, Any]]] = deque()
        self._sent: list[dict[str, Any]] = []
        self._started = 0
        self._pool = ThreadPoolExecutor(IN_FLIGHT_BYTES // PART_BYTES, thread_name_prefix="s3-part")

    def send(self, piece: bytes) -> None:
        """Send a part beside the caller, once fewer than `IN_FLIGHT_BYTES` are on their way."""
        while self._sending and (len(self._sending) + 1) * len(piece) > IN_FLIGHT_BYTES:
            self._sent.append(self._sending.popleft().result())
        self._started += 1
        self._sending.append(self._pool.submit(self._send, self._started, piece))

    def finish(self) -> None:
        """Wait for all parts and show the file."""
        self._sent += [sending.result() for sending in self._sending]
        self._sending.clear()
        self._pool.shutdown()
        self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._sent})

    def stop(self) -> None:
        """Send no more; when this returns no part is on its way."""
        self._pool.shutdown(cancel_futures=True)

    def abort(self) -> None:
        """Have the server forget the parts; stop first. One that it does not know is as good as aborted."""
        try:
            self._client.abort_multipart_upload(**self._upload)
        except ClientError as error:
            if status_of(error) != HTTPStatus.NOT_FOUND:
                raise

    def _send(self, number: int, piece: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**self._upload, PartNumber=number, Body=piece)
        return {"ETag": answer["ETag"], "PartNumber": number}
