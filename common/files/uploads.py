"""Uploads: bytes that come in, under the eyes of the ledger and the quota, until a job takes them over.

The blob's id stands in the ledger before its first byte, and its room in the quota is taken before that byte too:
what was announced at once, what was not in steps while it comes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from pymongo.errors import PyMongoError

from common.clock import Clock
from common.files import ledger
from common.files.ledger import LEASE, Loose
from common.files.quota import OverQuota
from common.ids import JobId, OrgId, new_id
from common.logs import get_logger
from common.storage.blob_store import Blob, BlobStore
from common.tenancy.scope import OrgScope

STEP_BYTES = 16 * 1024 * 1024
SIGN_OF_LIFE_S = 60.0
log = get_logger()


class Upload:
    """One upload: `save` what comes; the job with the id *job_id* is to import it.

    With no *limit_bytes* it takes nothing of the quota: its bytes are gone when they are imported.
    """

    def __init__(
        self,
        scope: OrgScope,
        blobs: BlobStore,
        clock: Clock,
        *,
        limit_bytes: int | None,
        max_bytes: int,
        announced_bytes: int,
    ) -> None:
        self.job_id = JobId(new_id())
        self.blob_id = new_id()
        self._scope = scope
        self._blobs = blobs
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._max_bytes = max_bytes
        self._reserved_bytes = announced_bytes if limit_bytes is not None else 0
        self._alive_at = clock.monotonic()

    def begin(self) -> None:
        """Write it down. Raises `OverQuota`."""
        blob = Loose(self.blob_id, "incoming", self.job_id, self._reserved_bytes, self._until())
        ledger.note(self._scope, blob, self._limit_bytes or 0)

    def save(self, chunks: Iterable[bytes]) -> Blob:
        """Store what *chunks* bring; holds one of them in memory.

        Raises `TooLarge`, `OverQuota`, `StorageUnavailable`, and whatever *chunks* raises.
        """
        blob = self._blobs.save(self._counted(chunks), max_bytes=self._max_bytes, blob_id=self.blob_id)
        counts = blob.size_bytes if self._limit_bytes is not None else 0
        ledger.receive(self._scope, self.blob_id, counts, self._until())
        return blob

    def give_up(self) -> None:
        """Delete what came, and give its room back."""
        now = self._clock.now()
        ledger.give_up(self._scope, [self.blob_id], now)
        ledger.delete(self._scope, self._blobs, [self.blob_id], now)

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        count = 0
        for chunk in chunks:
            count += len(chunk)
            if self._limit_bytes is not None and count > self._reserved_bytes:
                self._reserve_up_to(count, self._limit_bytes)
            elif self._clock.monotonic() - self._alive_at >= SIGN_OF_LIFE_S:
                ledger.keep_alive(self._scope, self.blob_id, self._until())
                self._alive_at = self._clock.monotonic()
            yield chunk

    def _reserve_up_to(self, count: int, limit_bytes: int) -> None:
        """Reserve what has come and a step more; where that is no longer free, what has come."""
        needed = count - self._reserved_bytes
        for by_bytes in (needed + min(STEP_BYTES, max(0, self._max_bytes - count)), needed):
            try:
                ledger.grow(self._scope, self.blob_id, by_bytes, limit_bytes, self._until())
            except OverQuota:
                if by_bytes == needed:
                    raise
            else:
                self._reserved_bytes += by_bytes
                self._alive_at = self._clock.monotonic()
                return

    def _until(self) -> datetime:
        return self._clock.now() + LEASE


class Uploads:
    """Begins uploads. *limit_of* tells what an organization may store."""

    def __init__(
        self,
        scope_of: Callable[[OrgId], OrgScope],
        blobs: BlobStore,
        clock: Clock,
        limit_of: Callable[[OrgId], int],
    ) -> None:
        self._scope_of = scope_of
        self._blobs = blobs
        self._clock = clock
        self._limit_of = limit_of

    @contextmanager
    def begin(self, org_id: OrgId, *, max_bytes: int, announced_bytes: int | None = None) -> Iterator[Upload]:
        """Take an upload in the block, which accepts its job; whenever there will be none, the bytes go.

        It counts against the quota if *announced_bytes* says how much comes at least; else it takes none of it.
        Where MongoDB breaks off nobody knows whether the job was accepted, so they stay: the cleaner will know.
        Raises `OverQuota` before anything has come.
        """
        upload = Upload(
            self._scope_of(org_id),
            self._blobs,
            self._clock,
            limit_bytes=self._limit_of(org_id) if announced_bytes is not None else None,
            max_bytes=max_bytes,
            announced_bytes=announced_bytes or 0,
        )
        upload.begin()
        try:
            yield upload
        except PyMongoError:
            log.warning("upload.left_to_the_cleaner", blob_id=upload.blob_id)
            raise
        except BaseException:
            upload.give_up()
            raise
