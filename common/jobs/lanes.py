"""The lanes: which job is next. Each verb is one call of `lanes.lua`, one atomic step on Redis's clock."""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from common.errors import Unavailable
from common.ids import JobId, OrgId
from common.jobs.carriers import celery_queue, envelope
from common.metrics import QUARANTINED, SWALLOWED

_SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
_QUIET_S = 1.0
MEMBERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Member:
    """A job as the lanes know it."""

    org_id: OrgId
    job_id: JobId

    def __str__(self) -> str:
        return f"{self.job_id}:{self.org_id}"

    @classmethod
    def parse(cls, raw: bytes) -> "Member":
        """Read what a lane holds. Raises `ValueError` if it is no member of ours."""
        job_id, colon, org_id = raw.decode().partition(":")
        if not colon:
            raise ValueError(f"{raw[:80]!r} is not a lane's member.")
        return cls(org_id=OrgId(org_id), job_id=JobId(job_id))


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a job stands: its queue, its name there and its priority."""

    queue: str
    member: Member
    priority: int


@dataclass(frozen=True)
class Look:
    """One queue at a glance."""

    waiting: int
    taken: int
    due: int
    slots: int
    retaken: int


class Lanes:
    """The lanes of every queue in the broker's Redis; usable by any process that has its client.

    Every verb raises `Unavailable` if Redis does not answer in the client's time, but `admit_soon`, `defer_soon`
    and `forget_soon`: those are for callers whose truth is already in MongoDB, where the sweep will find it.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._script = client.register_script(_SCRIPT)
        self._keys: dict[str, list[str]] = {}
        self._quiet_until = 0.0

    def admit(self, queue: str, members: Iterable[tuple[Member, int]]) -> int:
        """Put each (member, priority 0-9) into the lane of *queue*; return how many were new there."""
        flat = [part for member, priority in members for part in (str(member), priority)]
        return int(self._call(queue, "admit", *flat)) if flat else 0

    def admit_soon(self, queue: str, members: Iterable[tuple[Member, int]]) -> None:
        """Admit, or leave it to the sweep: the records are in MongoDB, so a 202 stands without Redis."""
        self._soon("admit", lambda: self.admit(queue, members))

    def admit_all(self, entries: Iterable[Entry]) -> int:
        """Admit jobs of any queues; return how many were new."""
        return sum(self.admit(queue, members) for queue, members in _by_queue(entries))

    def admit_all_soon(self, entries: Iterable[Entry]) -> None:
        """Admit jobs of any queues, or leave them to the sweep."""
        for queue, members in _by_queue(entries):
            self.admit_soon(queue, members)

    def back_soon(self, queue: str, member: Member, priority: int) -> None:
        """Admit a job that was taken and is queued again, or leave it to the sweep."""
        self._soon("back", lambda: self._call(queue, "back", str(member), priority))

    def take(self, queue: str, carrier: str, *, linger_s: float, settled: Sequence[Member] = ()) -> Member | None:
        """Take the next job, and settle those that are known to be claimed or gone.

        With nothing to take, the carrier is noted as lingering for *linger_s* (then `wait` for its wake-up);
        with 0 it is forgotten.
        """
        while raw := self._call(queue, "take", carrier, int(linger_s * 1000), *map(str, settled)):
            found = self._members(queue, [raw])
            if found:
                return found[0]
        return None

    def part(self, queue: str, carrier: str, settled: Sequence[Member]) -> None:
        """Settle what was taken last and forget the carrier; another is sent if work is waiting."""
        self._call(queue, "part", carrier, *map(str, settled))

    def wait(self, queue: str, carrier: str, timeout_s: float) -> bool:
        """Wait up to *timeout_s* seconds for work; tell whether some came. One blocking call."""
        key = self._names(queue)[9] + carrier
        try:
            return self._client.blpop([key], timeout=timeout_s) is not None
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def defer(self, queue: str, member: Member, delay_s: float) -> None:
        """Offer *member* again in *delay_s* seconds."""
        self._call(queue, "defer", int(delay_s * 1000), str(member))

    def defer_soon(self, queue: str, member: Member, delay_s: float) -> None:
        """Defer, or leave it to the sweep: the record holds its due time."""
        self._soon("defer", lambda: self.defer(queue, member, delay_s))

    def due(self, queue: str, limit: int = 100) -> tuple[float | None, list[Member]]:
        """Return the seconds until the next due time (`None`: nothing waits) and what is due now."""
        next_ms, *members = self._call(queue, "due", limit)
        return (next_ms / 1000 if next_ms >= 0 else None), self._members(queue, members)

    def wait_for_due(self, queue: str, timeout_s: float) -> None:
        """Wait until an earlier due time arrives, at most *timeout_s* seconds."""
        try:
            self._client.blpop([self._names(queue)[10]], timeout=max(0.01, timeout_s))
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def forget(self, queue: str, members: Iterable[Member]) -> None:
        """Take *members* out of the lane, the due times and the taken ones."""
        self._call(queue, "forget", *map(str, members))

    def forget_soon(self, queue: str, members: Iterable[Member]) -> None:
        """Forget, or leave it: a claim of a job that is over finds nothing to claim."""
        self._soon("forget", lambda: self.forget(queue, members))

    def forget_all_soon(self, entries: Iterable[Entry]) -> None:
        """Forget jobs of any queues, or leave them."""
        for queue, members in _by_queue(entries):
            self.forget_soon(queue, [member for member, _ in members])

    def beat(
        self,
        queue: str,
        worker: str,
        slots: int,
        *,
        alive_s: float,
        carriers: Sequence[str] = (),
        claimed: Sequence[Member] = (),
    ) -> int:
        """Give a worker's sign of life for *alive_s* seconds; return how many slots are alive on *queue*."""
        arguments = (worker, slots, int(alive_s * 1000), len(carriers), *carriers, *map(str, claimed))
        return int(self._call(queue, "beat", *arguments))

    def leave(self, queue: str, worker: str, slots: int, carriers: Sequence[str] = ()) -> None:
        """Say that *worker* ends, or that these carriers of it died; others take over at once."""
        self._call(queue, "leave", worker, slots, *carriers)

    def workers(self, queue: str) -> list[str]:
        """List the names of the workers that are alive on *queue*."""
        return [name.decode().rpartition("|")[0] for name in self._call(queue, "workers")]

    def unknown(self, queue: str, members: Sequence[Member]) -> set[Member]:
        """Return those of *members* that stand nowhere in Redis."""
        return {Member.parse(raw) for raw in self._call(queue, "unknown", *map(str, members))}

    def look(self, queue: str) -> Look:
        """Count what waits, what was taken, what is due, the slots alive and the jobs offered again."""
        return Look(*map(int, self._call(queue, "look")))

    def sound(self, queue: str) -> tuple[bool, int]:
        """Tell whether every key of *queue* is what this code makes of it, and Redis's clock in milliseconds."""
        is_sound, now_ms = self._call(queue, "sound")
        return bool(is_sound), int(now_ms)

    def clear(self) -> None:
        """Remove everything of every queue, whatever it is, in bounded steps.

        Workers that are alive say so again within a second. Carriers under way are forgotten, so that as many
        again may be sent; they find what is there, or nothing.
        """
        try:
            for pattern in ("fairway:lane:*", celery_queue("*")):
                for key in self._client.scan_iter(match=pattern, count=500):
                    self._client.unlink(key)
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def _members(self, queue: str, found: Sequence[bytes]) -> list[Member]:
        """Read what the lanes hold; what is no member of ours is removed and counted."""
        members = []
        for raw in found:
            try:
                members.append(Member.parse(raw))
            except ValueError:
                self._call(queue, "forget", raw)
                QUARANTINED.labels(queue).inc()
        return members

    def _names(self, queue: str) -> list[str]:
        names = self._keys.get(queue)
        if names is None:
            own = [f"fairway:lane:{queue}:{part}" for part in _PARTS]
            names = self._keys[queue] = [*own[:8], celery_queue(queue), f"fairway:lane:{queue}:wake:", own[8]]
        return names

    def _call(self, queue: str, verb: str, *arguments: Any) -> Any:
        try:
            return self._script(keys=self._names(queue), args=[verb, envelope(queue), *arguments])
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def _soon(self, verb: str, attempt: Any) -> None:
        """Try once; while Redis is away, at most one request a second pays for finding out."""
        if time.monotonic() < self._quiet_until:
            SWALLOWED.labels(f"lanes.{verb}").inc()
            return
        try:
            attempt()
        except Unavailable:
            SWALLOWED.labels(f"lanes.{verb}").inc()
            self._quiet_until = time.monotonic() + _QUIET_S


def _by_queue(entries: Iterable[Entry]) -> Iterable[tuple[str, list[tuple[Member, int]]]]:
    """Group *entries* by queue, in calls of at most `MEMBERS_MAX`."""
    found: dict[str, list[tuple[Member, int]]] = defaultdict(list)
    for entry in (entry for entry in entries if entry.queue):
        found[entry.queue].append((entry.member, entry.priority))
    for queue, members in found.items():
        for start in range(0, len(members), MEMBERS_MAX):
            yield queue, members[start : start + MEMBERS_MAX]


_PARTS = ("waiting", "taken", "tries", "due", "carriers", "idle", "workers", "counters", "due_wake")
