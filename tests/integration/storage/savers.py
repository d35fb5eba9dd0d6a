"""A process of its own that saves: what is killed, and what is measured."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.ids import new_id
from common.storage.blob_store import BlobStore
from common.storage.open_store import open_store

ROOT = Path(__file__).parents[3]
BLOCK_BYTES = 1024 * 1024


@contextmanager
def saver(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a function of this module in a process; what it says comes line by line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.storage.savers", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill(process: "subprocess.Popen[str]") -> list[str]:
    """Kill the process at once, and return what it had said so far."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    return [line.strip() for line in process.stdout or ()]


def save_half(store: BlobStore, blob_id: str) -> None:
    """Save the half of a file, say so, and wait to be killed."""

    def chunks() -> Iterator[bytes]:
        yield from [b"x" * BLOCK_BYTES] * 30
        print("half", flush=True)
        sys.stdin.read()

    store.save(chunks(), max_bytes=10**9, blob_id=blob_id)


def save_on_and_on(store: BlobStore, kind: str) -> None:
    """Save files until killed; say each id before it is used."""
    while True:
        names = [new_id() for _ in range(20 if kind == "many" else 1)]
        print("\n".join(names), flush=True)
        if kind == "many":
            store.save_many({name: name.encode() * 280 for name in names})
        else:
            store.save((names[0].encode() * 30_000 for _ in range(12)), max_bytes=10**9, blob_id=names[0])


def measure(store: BlobStore, mib: str) -> None:
    """Save a file and read it; say by how many bytes the process has grown beyond a file of 40 MiB."""
    blob = _save_and_read(store, 40)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blob = _save_and_read(store, int(mib))
    after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(blob, (after_kib - before_kib) * 1024, flush=True)


def _save_and_read(store: BlobStore, mib: int) -> int:
    blob = store.save((os.urandom(BLOCK_BYTES) for _ in range(mib)), max_bytes=10**12)
    with store.open(blob.id) as file:
        read_bytes = sum(len(piece) for piece in iter(lambda: file.read(BLOCK_BYTES), b""))
    store.delete(blob.id)
    return read_bytes


if __name__ == "__main__":
    _name, _url, *_rest = sys.argv[1:]
    _store = open_store(_url, default=Path("/nowhere"), production=True)
    {"save_half": save_half, "save_on_and_on": save_on_and_on, "measure": measure}[_name](_store, *_rest)
