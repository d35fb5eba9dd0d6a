"""Files under faults: a fleet that imports, what was sent to it, and what must be so of every byte afterwards."""

import hashlib
import io
import os
import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta

import psutil

from common.caller import Caller
from common.files import ledger, sharing
from common.files.cleaner import Cleaner
from common.files.collections import IMPORT_GROUPS, LOOSE_BLOBS, ROOM_FILES, STORAGE_USE
from common.files.import_upload import ImportUpload
from common.files.sharing import Deed
from common.ids import JobId, OrgId
from common.jobs.record import FINAL, JobRecord
from tests.faults.checker import Row
from tests.faults.fleet import ROWS, SIGKILL, Fleet, until
from tests.integration.conftest import caller_of
from tests.integration.files.bytes_checked import blobs_in, check
from tests.integration.files.conftest import Later

IMPORTERS = ("importer-1", "importer-2")
SLOTS = 2
LIMIT = 10**12


class FilesAtRisk:
    """A fleet whose workers import files, a room of one organization in it, and what was sent."""

    def __init__(
        self, *, given: Mapping[str, str] | None = None, stored: Callable[[], Iterable[str]] | None = None
    ) -> None:
        """Make it; *stored* names all blobs in a store that is no folder of the fleet's own."""
        self.fleet = Fleet(workers=0, given=given)
        self._stored = stored
        self._jobs: list[JobId] = []

    def start(self, importers: Iterable[str] = IMPORTERS) -> "FilesAtRisk":
        """Start it; return when all slots are alive."""
        self.fleet.start()
        self.services = self.fleet.services
        self.org_id: OrgId = self.fleet.org_id
        self.who: Caller = caller_of(self.org_id)
        self.scope = self.services.scope(self.org_id)
        self.room = self.new_room()
        names = list(importers)
        for name in names:
            self.fleet.run(name)
        until(lambda: self.fleet.checker.slots("files") >= SLOTS * len(names), "the importers", 60, self.report)
        return self

    def new_room(self) -> str:
        """Make a room; return its id."""
        return self.services.rooms.create(self.who, name="Reports", description="").room_id

    def send(self, content: bytes, name: str, *, room: str = "", unpack: bool = True) -> JobId:
        """Send a file as the API does; return its job's id."""
        with self.services.uploads.begin(self.org_id, announced_bytes=len(content), max_bytes=LIMIT) as upload:
            blob = upload.save(content[at : at + 65536] for at in range(0, len(content), 65536))
            job = ImportUpload(
                room_id=room or self.room,
                blob_id=blob.id,
                filename=name,
                size_bytes=blob.size_bytes,
                sha256=blob.sha256,
                unpack=unpack,
            )
            record = self.services.submit(self.who, job, job_id=upload.job_id)
        self._jobs.append(record.id)
        return record.id

    def remove(self, file_id: str, room: str = "") -> None:
        """Take a file out of a room as the API does."""
        now = self.services.clock.now()
        doomed = sharing.remove(self.scope, room or self.room, file_id, Deed("somebody", "r", now))
        ledger.delete(self.scope, self.services.blobs, doomed, now)

    def kill_some(self, draw: random.Random, times: int, names: Iterable[str] = IMPORTERS) -> None:
        """Kill importers, whole or a child of them, at random moments."""
        these = list(names)
        for _ in range(times):
            self.fleet.pass_by(draw.uniform(0.05, 0.7))
            with suppress(psutil.Error, ProcessLookupError):
                name = draw.choice(these)
                if draw.random() < 0.5:
                    self.fleet.kill(name)
                else:
                    os.kill(self.fleet.busiest_child(name), SIGKILL)

    def settle(self, within_s: float = 90) -> list[JobRecord]:
        """Return the records of all that was sent, once all of it has ended."""
        self.fleet.settle_all(within_s)
        return [self.services.jobs.get(self.org_id, one) for one in self._jobs]

    def names(self, room: str = "") -> list[str]:
        """Return all names in a room."""
        links = self.scope[ROOM_FILES].find({"room_id": room or self.room})
        return sorted(name for one in links for name in one["names"])

    def outcomes(self, job_id: JobId) -> Counter[str]:
        """Count what became of an archive's entries."""
        groups = self.scope[IMPORT_GROUPS].find({"job_id": job_id})
        return Counter(entry["outcome"] for one in groups for entry in one["entries"])

    def check(self, fault: str, *, is_empty: bool = False) -> None:
        """Check every byte, before and after the cleaner; note the fault for the table."""
        self.clean()
        self.clean()
        stored = set(self._stored() if self._stored is not None else blobs_in(self.services))
        check(self.services, self.fleet.org_ids, stored)
        left = self.scope[LOOSE_BLOBS].count_documents({})
        assert not left, f"{left} loose blobs after the cleaner"
        use = self.scope[STORAGE_USE].find_one({"_id": self.org_id}) or {"reserved_bytes": 0}
        assert use["reserved_bytes"] == 0
        assert not (is_empty and stored), stored
        states = Counter(self.services.jobs.get(self.org_id, one).state for one in self._jobs)
        ended = (states["succeeded"], states["failed"], states["cancelled"])
        assert set(states) <= FINAL
        ROWS.append(Row(fault, len(self._jobs), ended, 0, 0, None))

    def clean(self) -> None:
        """Clean as if days had passed."""
        made = self.services
        cleaner = Cleaner(made.control, made.registry, made.blobs, Later(made.clock, timedelta(days=10)))
        while cleaner.once().given_up:
            pass
        Cleaner(made.control, made.registry, made.blobs, Later(made.clock, timedelta(days=20))).once()

    def report(self) -> str:
        """Say what is not over."""
        return self.fleet.report()

    def close(self) -> None:
        """Stop everything."""
        self.fleet.close()


def texts(count: int, *, seed: int = 1, each: int = 200) -> dict[str, bytes]:
    """Make small contents that are all different."""
    draw = random.Random(seed)
    return {f"{seed}/{number}.txt": draw.randbytes(each).hex().encode() for number in range(count)}


def zipped(contents: Mapping[str, bytes]) -> bytes:
    """Return a zip of *contents*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
