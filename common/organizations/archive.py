"""The archive of an organization: a zip of BSON files, with a manifest of their hashes under our own seal.

    organization.json            what it was called, its tier and settings
    data/<collection>.bson       the data plane, document after document, each before the bytes of its stored file
    records/<collection>.bson    people, ended jobs, events, API keys: without passwords, payloads and secrets
    manifest.json                of each file above: how many documents and bytes, and its SHA-256
    manifest.seal                an HMAC of the manifest under the installation's secret keys

The seal tells what we wrote from what somebody made up, so that restoring trusts nobody's word. Documents get new
ids when they are restored into another organization, the same each time, and everything that names them follows.
"""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any, BinaryIO
from uuid import UUID

import bson
import orjson
from bson.codec_options import CodecOptions

from common.errors import JobFailed
from common.ids import OrgId, is_id
from common.keys import SecretKeys
from common.tenancy.collections import TENANT_COLLECTIONS

FORMAT = "fairway-archive/1"
ORGANIZATION, MANIFEST, SEAL = "organization.json", "manifest.json", "manifest.seal"
CHUNK_BYTES = 256 * 1024
DOCUMENT_MIN_BYTES, DOCUMENT_MAX_BYTES = 5, 16 * 1024 * 1024
SMALL_MAX_BYTES = 1024 * 1024
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)

RECORDS: Mapping[str, Mapping[str, int]] = {
    "users": dict.fromkeys(("password_hash", "claim", "epoch", "revision"), 0),
    "jobs": dict.fromkeys(("payload", "checkpoint", "lease", "held"), 0),
    "events": {},
    "api_keys": {"hash": 0},
}
"""What of the control plane goes along, and which fields of it do not."""


@dataclass(frozen=True)
class Member:
    """A file of the archive."""

    name: str
    documents: int
    size_bytes: int
    sha256: str


class Writer:
    """Writes an archive piece by piece: what `take` returns is all that is there since it was asked before."""

    def __init__(self, keys: SecretKeys) -> None:
        self._keys = keys
        self._pipe = _Pipe()
        pipe: Any = self._pipe  # all that writing needs; the type asks for more
        self._zip = zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._members: list[Member] = []

    def take(self) -> bytes:
        """Return what was written since."""
        return self._pipe.take()

    def add_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Add a small file."""
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2)
        self._zip.writestr(name, text)
        self._members.append(Member(name, 1, len(text), hashlib.sha256(text).hexdigest()))

    def add_documents(self, name: str, documents: Iterable[Mapping[str, Any]]) -> Iterator[int]:
        """Add a file of *documents*; yields how many are written, whenever something can be taken."""
        digest, size_bytes, count = hashlib.sha256(), 0, 0
        with self._zip.open(name, "w", force_zip64=True) as file:
            for document in documents:
                encoded = bson.encode(document, codec_options=CODEC)
                file.write(encoded)
                digest.update(encoded)
                size_bytes, count = size_bytes + len(encoded), count + 1
                if self._pipe.size_bytes >= CHUNK_BYTES:
                    yield count
        self._members.append(Member(name, count, size_bytes, digest.hexdigest()))
        yield count

    def add_files(self, name: str, files: Iterable[tuple[Mapping[str, Any], BinaryIO]]) -> Iterator[int]:
        """Add a file of documents, each with the bytes that it has stored; yields like `add_documents`."""
        digest, size_bytes, count = hashlib.sha256(), 0, 0
        with self._zip.open(name, "w", force_zip64=True) as file:
            for document, content in files:
                part = bson.encode(document, codec_options=CODEC)
                while part:
                    file.write(part)
                    digest.update(part)
                    size_bytes += len(part)
                    if self._pipe.size_bytes >= CHUNK_BYTES:
                        yield count
                    part = content.read(CHUNK_BYTES)
                count += 1
        self._members.append(Member(name, count, size_bytes, digest.hexdigest()))
        yield count

    def close(self) -> int:
        """Write manifest and seal; return how many documents there are."""
        members = [asdict(one) for one in self._members]
        text = orjson.dumps({"format": FORMAT, "members": members}, option=orjson.OPT_INDENT_2)
        self._zip.writestr(MANIFEST, text)
        self._zip.writestr(SEAL, self._keys.fingerprint(text))
        self._zip.close()
        return sum(one.documents for one in self._members)


class Reader:
    """Reads an archive. Raises `JobFailed` with code `archive-unreadable` for one that we did not write."""

    def __init__(self, file: BinaryIO, keys: SecretKeys) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
            manifest = self._small(MANIFEST)
            if not keys.is_fingerprint(manifest, self._small(SEAL).decode("ascii")):
                raise _unreadable("its seal is not ours")
            self.members = [Member(**one) for one in orjson.loads(manifest)["members"]]
            names = sorted([*(one.name for one in self.members), MANIFEST, SEAL])
            if sorted(self._zip.namelist()) != names:
                raise _unreadable("it holds other files than its manifest names")
            self.organization: Mapping[str, Any] = orjson.loads(self._small(ORGANIZATION))
        except (zipfile.BadZipFile, LookupError, ValueError, TypeError, OSError, RuntimeError) as error:
            # RuntimeError: a zip that is encrypted, or made by a method that the standard library does not read.
            raise _unreadable("it is no archive of an organization") from error

    def verify(self, member: Member) -> Iterator[int]:
        """Compare a file with the manifest; yields the bytes that were read. Raises `JobFailed`."""
        digest, size_bytes = hashlib.sha256(), 0
        try:
            with self._zip.open(member.name) as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += len(chunk)
                    if size_bytes > member.size_bytes:
                        break
                    yield len(chunk)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise _unreadable(f"{member.name} is damaged") from error
        if (size_bytes, digest.hexdigest()) != (member.size_bytes, member.sha256):
            raise _unreadable(f"{member.name} is not as it was written")

    def documents(self, member: Member, skip: int) -> Iterator[dict[str, Any]]:
        """Go through the documents of a file, after the first *skip*."""
        with self._zip.open(member.name) as file:
            for number in range(member.documents):
                body = _document(file, member)
                if number >= skip:
                    yield bson.decode(body, codec_options=CODEC)

    def files(self, member: Member, skip: int) -> Iterator[tuple[dict[str, Any], Iterator[bytes]]]:
        """Go through the documents of a file that have stored bytes, each with these, after the first *skip*."""
        with self._zip.open(member.name) as file:
            for number in range(member.documents):
                document = bson.decode(_document(file, member), codec_options=CODEC)
                content = _bytes(file, document.get("size_bytes"), member)
                if number >= skip:
                    yield document, content
                for _ in content:  # what nobody took
                    pass

    def _small(self, name: str) -> bytes:
        if self._zip.getinfo(name).file_size > SMALL_MAX_BYTES:
            raise _unreadable(f"{name} is too large")
        return self._zip.read(name)


@dataclass(frozen=True)
class Ids:
    """The ids that documents of one organization get in another; in the same one they keep theirs."""

    was: OrgId
    now: OrgId

    def of(self, value: Any) -> Any:
        """Return the new id for *value*; what is no id stays.

        It keeps the instant of the old one, so that the order stays; the rest is a hash of both, so that it is
        the same each time.
        """
        if self.was == self.now or not isinstance(value, str) or not is_id(value):
            return value
        old = UUID(value).int
        noise = int.from_bytes(hashlib.sha256(f"{self.now}:{value}".encode()).digest()[:10], "big")
        kept = old & ~((0xFFF << 64) | ((1 << 62) - 1))  # the instant, the version and the variant
        return str(UUID(int=kept | ((noise >> 62 & 0xFFF) << 64) | (noise & ((1 << 62) - 1))))

    def renamed(self, document: Mapping[str, Any], references: Iterable[str]) -> dict[str, Any]:
        """Return *document* with its new id, and with those of what it names in *references*."""
        names = {"_id", *references}
        return {name: self.of(value) if name in names else value for name, value in document.items()}


def travelling() -> list[str]:
    """Name the collections of the data plane that go along."""
    return sorted(name for name, one in TENANT_COLLECTIONS.items() if one.travels)


def _document(file: IO[bytes], member: Member) -> bytes:
    head = file.read(4)
    size_bytes = int.from_bytes(head, "little")
    if not DOCUMENT_MIN_BYTES <= size_bytes <= DOCUMENT_MAX_BYTES:
        raise _unreadable(f"{member.name} holds something that is no document")
    return head + file.read(size_bytes - 4)


def _bytes(file: IO[bytes], size_bytes: Any, member: Member) -> Iterator[bytes]:
    left = size_bytes if isinstance(size_bytes, int) else -1
    while left > 0:
        chunk = file.read(min(left, CHUNK_BYTES))
        left -= len(chunk)
        if not chunk:
            break
        yield chunk
    if left:
        raise _unreadable(f"{member.name} lacks the bytes of a file")


def _unreadable(why: str) -> JobFailed:
    return JobFailed(f"This archive can't be restored: {why}.", code="archive-unreadable")


class _Pipe:
    """A file that only goes forward, and is emptied as it fills."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size_bytes = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self.size_bytes += len(part)
        return len(part)

    def flush(self) -> None:
        return

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        self.size_bytes = 0
        return taken
