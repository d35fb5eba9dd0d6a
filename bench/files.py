"""Files, from the first byte sent to imported, against bare scripts: hash and copy with sync; hash, write, insert.

Ours is the whole way: HTTP, sign-in, rights, quota, a durable store, the job, its verification and examination,
the links, the audit log. The bare loop over a zip's entries syncs nothing and asks nobody.
"""

import hashlib
import itertools
import os
import random
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pymongo

from bench.accept import command, make_person, sign_in
from bench.rig import Rig, celery, child, free_port, pairs, report, rig

SIZE_MIB = int(os.environ.get("BENCH_MIB", "1024"))
ENTRIES = int(os.environ.get("BENCH_ENTRIES", "10000"))
ENTRY_BYTES = 10 * 1024
SLOTS = 2
HOURLY = 50_000
_BOUNDARY = b"fairway-bench"


def main() -> None:
    """Measure and print."""
    with rig() as made:
        large = made.folder / "large.bin"
        write_large(large)
        with serving(made) as (url, token):
            for form, bar in (("raw", ">= 0.5"), ("multipart", ">= 0.3")):
                found = pairs(lambda form=form: send(url, token, large, form), lambda: copied(large, made.folder))
                report(f"{SIZE_MIB} MiB, {form}, sent to imported", found, "MiB/s", bar)
            archives = (write_zip(made.folder / f"many-{number}.zip", number) for number in itertools.count())
            for name, write in (("a loop", write_plainly), ("a loop that renames", write_aside)):
                found = pairs(
                    lambda: unpacked(url, token, next(archives)),
                    lambda write=write: looped(made, next(archives), write),
                )
                report(f"zip of {ENTRIES} files of 10 KB, {name}", found, "files/s", ">= 0.5")
            busy = held(url, token, next(archives))
            print(f"{HOURLY:,} files an hour take {busy:.1%} of two cores, all processes and servers counted")


@contextmanager
def serving(made: Rig) -> Iterator[tuple[str, str]]:
    """Run the API and a worker; give the address and a token."""
    made.empty()
    environment = made.environment(FAIRWAY_RATE_LIMITS="off")
    slug, port = make_person(environment), free_port()
    url = f"http://127.0.0.1:{port}"
    worker = celery("workers.app", "-Q", "fairway.files", "-c", str(SLOTS), "-n", "f@%h", "-E")
    with (
        child(
            command("granian", "web.server:application", port, 16, made="ours"), environment, made.folder / "api"
        ),
        child(worker, environment, made.folder / "worker"),
    ):
        yield url, sign_in(slug, url)


def send(url: str, token: str, file: Path, form: str) -> float:
    """Return the MiB a second of one file, from the first byte to the end of its job; what is sent is new."""
    with file.open("r+b") as content:  # another content each time, at the cost of a page
        content.write(os.urandom(4096))
    room = new_room(url, token)
    started = time.perf_counter()
    job = post(url, token, room, file, form)
    ended = wait_for(url, token, job)
    took_s = time.perf_counter() - started
    if ended["result"]["new"] != 1:
        raise RuntimeError(ended)
    empty(url, token, room)
    return SIZE_MIB / took_s


def unpacked(url: str, token: str, archive: Path) -> float:
    """Return the files a second of a zip, from the first byte to the end of its job."""
    room = new_room(url, token)
    started = time.perf_counter()
    ended = wait_for(url, token, post(url, token, room, archive, "raw"))
    took_s = time.perf_counter() - started
    if ended["result"]["new"] != ENTRIES:
        raise RuntimeError(ended)
    return ENTRIES / took_s


def held(url: str, token: str, archive: Path) -> float:
    """Return which part of two cores the hourly load takes, by the processor time of one archive."""
    room = new_room(url, token)
    before = burnt_s()
    wait_for(url, token, post(url, token, room, archive, "raw"))
    spent_s = burnt_s() - before
    return spent_s / ENTRIES * HOURLY / (2 * 3600)


def burnt_s() -> float:
    """Return the processor seconds of all that run below this process, with the children that ended."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def copied(file: Path, folder: Path) -> float:
    """Return the MiB a second of one pass that hashes and copies, with a sync at its end."""
    started = time.perf_counter()
    digest, target = hashlib.sha256(), folder / "copy.bin"
    with file.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    took_s = time.perf_counter() - started
    target.unlink()
    return SIZE_MIB / took_s


def write_plainly(folder: Path, sha256: str, data: bytes) -> None:
    """Write a file where it stays."""
    (folder / sha256).write_bytes(data)


def write_aside(folder: Path, sha256: str, data: bytes) -> None:
    """Write a file so that nobody sees it by halves, as a store has to."""
    partial, place = folder / f".{sha256}", folder / sha256[:2]
    partial.write_bytes(data)
    place.mkdir(exist_ok=True)
    partial.rename(place / sha256)


def looped(made: Rig, archive: Path, write: Callable[[Path, str, bytes], None]) -> float:
    """Return the files a second of a loop that hashes, writes and inserts in bulk.

    Nothing is deleted between rounds, on either side: some file systems take long to make files after many went.
    """
    folder = made.folder / "loop"
    folder.mkdir(exist_ok=True)
    with pymongo.MongoClient(made.mongo.url, w="majority") as client:
        client.drop_database("loop")
        rows = client["loop"]["files"]
        rows.create_index([("org_id", 1), ("sha256", 1)], unique=True)
        started = time.perf_counter()
        batch: list[dict[str, Any]] = []
        with zipfile.ZipFile(archive) as entries:
            for info in entries.infolist():
                data = entries.read(info)
                sha256 = hashlib.sha256(data).hexdigest()
                write(folder, sha256, data)
                batch.append({"org_id": "loop", "sha256": sha256, "name": info.filename, "size_bytes": len(data)})
                if len(batch) == 1_000:
                    rows.insert_many(batch)
                    batch = []
        took_s = time.perf_counter() - started
    return ENTRIES / took_s


def post(url: str, token: str, room: str, file: Path, form: str) -> str:
    """Send *file* as the kernel copies it, which takes little of the processor; return the job's id."""
    host, port = url.removeprefix("http://").split(":")
    head, tail, kind = b"", b"", "application/octet-stream"
    if form == "multipart":
        head = b"--" + _BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        tail, kind = b"\r\n--" + _BOUNDARY + b"--\r\n", f"multipart/form-data; boundary={_BOUNDARY.decode()}"
    length = len(head) + file.stat().st_size + len(tail)
    lines = [
        f"POST /v1/rooms/{room}/files HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {token}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        f'Content-Disposition: attachment; filename="{file.name}"',
        "Connection: close",
    ]
    with socket.create_connection((host, int(port)), timeout=120) as connection, file.open("rb") as content:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + head)
        connection.sendfile(content)
        connection.sendall(tail)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    found = httpx.Response(int(answer.split()[1]), content=answer.partition(b"\r\n\r\n")[2])
    if found.status_code != httpx.codes.ACCEPTED:
        raise RuntimeError(answer)
    return str(found.json()["id"])


def wait_for(url: str, token: str, job: str) -> dict[str, Any]:
    """Return the job once it has ended. Raises `RuntimeError` if it did not succeed."""
    while True:
        found = ask(url, token, "GET", f"/v1/jobs/{job}?wait=20").json()
        if found["state"] in {"succeeded", "failed", "cancelled"}:
            break
    if found["state"] != "succeeded":
        raise RuntimeError(found)
    return dict(found)


def new_room(url: str, token: str) -> str:
    """Make a room; return its id."""
    return str(ask(url, token, "POST", "/v1/rooms", json={"name": "Bench"}).json()["id"])


def empty(url: str, token: str, room: str) -> None:
    """Delete a room, and wait until its files are gone."""
    wait_for(url, token, ask(url, token, "DELETE", f"/v1/rooms/{room}").json()["id"])


def ask(url: str, token: str, method: str, path: str, **options: Any) -> httpx.Response:
    """Ask the API."""
    answer = httpx.request(
        method, f"{url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60, **options
    )
    if answer.is_error:
        raise RuntimeError(answer.text)
    return answer


def write_large(file: Path) -> None:
    """Write bytes that nobody has."""
    with file.open("wb") as content:
        for _ in range(SIZE_MIB):
            content.write(os.urandom(1 << 20))


def write_zip(file: Path, seed: int) -> Path:
    """Write a zip of files that nobody has: half of them text, half of them noise."""
    chance = random.Random(seed)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(ENTRIES):
            line = f"{number},{chance.random()},some text of a customer who writes\n".encode()
            text = line * (ENTRY_BYTES // len(line) + 1)
            data = text[:ENTRY_BYTES] if number % 2 else chance.randbytes(ENTRY_BYTES)
            archive.writestr(f"folder-{number % 50}/file-{number}", data)
    return file


if __name__ == "__main__":
    main()
