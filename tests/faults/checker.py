"""The one checker: what must be true after any fault, read from MongoDB, Redis, the files and the witness."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from common.probe.marks import MARKS
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from redis import RedisError

from common.errors import Unavailable
from common.ids import JobId, OrgId
from common.jobs.kind import queues
from common.jobs.record import JobRecord, read_document
from common.services import Services
from tests.faults.witness import Witness

QUIET_WITHIN_S = 20


@dataclass(frozen=True)
class Accepted:
    """A job that was accepted: it is to leave *steps* effects and to end in one of the states *ends*."""

    org_id: OrgId
    job_id: JobId
    steps: int
    ends: frozenset[str]


@dataclass(frozen=True)
class Row:
    """What a fault did to so many jobs.

    *ended* counts the succeeded, the failed and the cancelled; *recovery_s* is how long the slowest of the jobs
    that it hit took to go on, or, if it hit none, how long it was until any job began.
    """

    fault: str
    jobs: int
    ended: tuple[int, int, int]
    lost: int
    twice: int
    recovery_s: float | None


class Checker:
    """Reads everything that jobs leave. *data* and *temporary* are the folders that the processes write to."""

    def __init__(self, services: Services, witness: Witness, data: Path, temporary: Path) -> None:
        self._services = services
        self.control = services.control
        self._jobs = services.control.jobs
        self._witness = witness
        self._data = data
        self._temporary = temporary

    def records(self, accepted: Iterable[Accepted]) -> list[JobRecord]:
        """Read the records of *accepted*; one that is gone is not in the answer."""
        return self.records_of([one.job_id for one in accepted])

    def records_of(self, ids: list[JobId]) -> list[JobRecord]:
        """Read the records of these jobs."""
        return [read_document(one) for one in self._jobs.find({"_id": {"$in": ids}})]

    def children(self) -> list[JobRecord]:
        """Read the records of all jobs that jobs made."""
        return [read_document(one) for one in self._jobs.find({"parent_id": {"$exists": True}})]

    def answers(self) -> bool:
        """Tell whether both servers answer."""
        with suppress(PyMongoError, RedisError):
            self._services.broker.ping()
            self._jobs.find_one({})
            return True
        return False

    def running(self) -> int:
        """Count the jobs that run."""
        return self._jobs.count_documents({"state": "running"})

    def unfinished(self) -> int:
        """Count the jobs that have not ended, children too."""
        return self._jobs.count_documents({"state": {"$in": ["queued", "waiting", "running"]}})

    def running_ids(self) -> frozenset[JobId]:
        """Name the jobs that run now, as the primary knows it."""
        soon = self._jobs.with_options(read_concern=ReadConcern("local"))
        return frozenset(JobId(one["_id"]) for one in soon.find({"state": "running"}, {"_id": 1}))

    def slots(self, queue: str) -> int:
        """Count the slots alive, as far as Redis answers."""
        with suppress(Unavailable):
            return self._services.lanes.look(queue).slots
        return 0

    def due(self, queue: str) -> int:
        """Count the jobs of *queue* that wait for a time."""
        return self._services.lanes.look(queue).due

    def marks(self) -> int:
        """Count the effects of all organizations."""
        return len(self._marks())

    def check(
        self,
        accepted: Collection[Accepted],
        *,
        fault: str,
        hit: frozenset[JobId],
        back_at: float,
        report: Callable[[], str],
    ) -> Row:
        """Return what was lost and done twice. Raises `AssertionError` at anything that was, or was left."""
        lost, twice = self._lost(accepted), self._twice(accepted)
        states = Counter(record.state for record in self.records(accepted))
        ended = (states["succeeded"], states["failed"], states["cancelled"])
        row = Row(fault, len(accepted), ended, len(lost), len(twice), self._recovery_s(hit, back_at))
        assert not lost, f"lost: {lost[:10]}\n{report()}"
        assert not twice, f"done twice: {twice[:10]}\n{report()}"
        self._check_numbers()
        self._check_nothing_left(report)
        return row

    def _lost(self, accepted: Collection[Accepted]) -> list[str]:
        """Name the jobs that did not end as they may, and those that ended well without every effect."""
        found = {record.id: record for record in self.records(accepted)}
        steps = defaultdict(set)
        for mark in self._marks():
            steps[mark["job_id"]].add(mark["step"])
        lost = []
        for one in accepted:
            record = found.get(one.job_id)
            if record is None or record.state not in one.ends:
                lost.append(f"{one.job_id} is {record and record.state}, {record and record.error}")
            elif record.state == "succeeded" and steps[one.job_id] != set(range(one.steps)):
                lost.append(f"{one.job_id} succeeded with effects {sorted(steps[one.job_id])} of {one.steps}")
        return lost

    def _twice(self, accepted: Collection[Accepted]) -> list[str]:
        """Name the effects that are there, or were said to be made, more than once."""
        ours = {one.job_id for one in accepted}
        there = Counter((mark["job_id"], mark["step"]) for mark in self._marks() if mark["job_id"] in ours)
        said = Counter((line.job_id, line.what) for line in self._witness.lines() if line.what.startswith("mark"))
        return [f"{effect} {count} times" for effect, count in [*there.items(), *said.items()] if count > 1]

    def _check_numbers(self) -> None:
        """Check that no number was given twice, and that no older one wrote after a newer."""
        starts = Counter((line.job_id, line.claim) for line in self._witness.lines() if line.what == "start")
        assert not [start for start, count in starts.items() if count > 1], "one number began twice"
        last: dict[str, int] = defaultdict(int)
        for mark in sorted(self._marks(), key=lambda mark: mark["step"]):
            assert mark["claim"] >= last[mark["job_id"]], f"an older number wrote: {mark}"
            last[mark["job_id"]] = mark["claim"]

    def _check_nothing_left(self, report: Callable[[], str]) -> None:
        """Check that no lease, slot, place in a lane, transaction or temporary file is left, within seconds."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        while left := self._left():
            assert time.monotonic() < deadline, f"left behind: {left}\n{report()}"
            time.sleep(0.1)

    def _left(self) -> list[str]:
        left = [f"lease of {one['_id']}" for one in self._jobs.find({"lease": {"$exists": True}}, {"_id": 1})]
        left += [f"{queue}: {self._places(queue)}" for queue in queues() if any(self._places(queue).values())]
        left += [f"transaction {one}" for one in self._open_transactions()]
        left += [str(file) for file in self._data.rglob("*") if file.is_file() and "tmp" in file.name]
        left += [str(own) for own in self._temporary.iterdir() if not _is_of_the_living(own)]
        return left

    def _places(self, queue: str) -> dict[str, int]:
        look = self._services.lanes.look(queue)
        tries = self._services.broker.hlen(f"fairway:lane:{queue}:tries")
        too_many = max(0, self._carriers(queue) - look.slots)
        return {
            "waiting": look.waiting,
            "taken": look.taken,
            "due": look.due,
            "tries": int(tries),
            "carriers over slots": too_many,
        }

    def _carriers(self, queue: str) -> int:
        seconds, _ = self._services.broker.time()
        return int(self._services.broker.zcount(f"fairway:lane:{queue}:carriers", seconds * 1000, "+inf"))

    def _open_transactions(self) -> list[Any]:
        pipeline: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "idleSessions": True}},
            {"$match": {"type": "idleSession", "transaction": {"$exists": True}}},
        ]
        admin = self._services.control.jobs.database.client.get_database(
            "admin", read_concern=ReadConcern("local")
        )
        return list(admin.aggregate(pipeline))

    def _recovery_s(self, hit: frozenset[JobId], back_at: float) -> float | None:
        """Return the seconds from the fault's end until each job that ran then had gone on, by the witness."""
        after = [line for line in self._witness.lines() if line.at > back_at > 0]
        first = {line.job_id: line.at - back_at for line in reversed(after)}
        of_hit = [wait_s for job_id, wait_s in first.items() if job_id in hit]
        return max(of_hit) if of_hit else min(first.values(), default=None)

    def _marks(self) -> list[dict[str, Any]]:
        """Read the effects of all organizations, wherever they are placed."""
        found = list[dict[str, Any]]()
        dedicated = self.control.organizations.find({"placement.mode": "dedicated"}, {"_id": 1})
        names = [MARKS.name, *(f"{MARKS.name}.{one['_id']}" for one in dedicated)]
        for database in self._services.settings.data_databases:
            for name in names:
                found += self._jobs.database.client[database][name].find()
        return found


def _is_of_the_living(folder: Path) -> bool:
    pid = folder.name.rpartition("-")[2]
    return pid.isdigit() and psutil.pid_exists(int(pid))
