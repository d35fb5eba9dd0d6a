"""A repeated upload: where a key was used before, only the hash of what is sent again is needed."""

import hashlib
from collections.abc import Iterable

from common.errors import Unavailable
from common.jobs import idempotency as kept
from common.jobs.idempotency import Once
from common.storage.blob_store import Blob
from web.contract import idempotency
from web.contract.services import services


def is_known(operation: str, scope: str) -> bool:
    """Tell whether this request's key was used before, for whatever request. Raises `Invalid` for a bad key."""
    key = idempotency.key()
    if key is None:
        return False
    return kept.is_used(services().control.idempotency, scope, operation, key, services().clock.now())


class Hashed:
    """Takes what comes and keeps nothing of it."""

    def save(self, chunks: Iterable[bytes]) -> Blob:
        """Return what the bytes were."""
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
        return Blob(id="", size_bytes=size_bytes, sha256=digest.hexdigest())

    @staticmethod
    def must_be_sent_again(used: Once | None) -> Exception:
        """Return what to raise: the first answer again, or why not, or that the key is free by now."""
        if used is not None:
            kept.look_up(services().control.idempotency, used, services().clock.now())
        return Unavailable("The key's first answer is forgotten since. Send the request again.", retry_after_s=1)
