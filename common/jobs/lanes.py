"""The lanes: whose job is next. Each verb is one call of `lanes.lua`, one atomic step on Redis's clock."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import redis
from redis.exceptions import NoScriptError

from common.errors import Unavailable
from common.ids import OrgId
from common.jobs.carriers import QUEUE_MARK, celery_queue, envelope
from common.jobs.members import Entry, Member, in_keys, org_in_keys
from common.logs import get_logger
from common.metrics import QUARANTINED, SWALLOWED

_SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_PREFIX = "fairway:lane:"
_ALL = f"{_PREFIX}all:"
_QUIET_S = 1.0
_SPOILT = ("WRONGTYPE", "not an integer", "not a valid float", "not a float")
MEMBERS_MAX = 500
RIDERS_MAX = 64
TOLD_AGAIN_S, TOLD_MOST = 5.0, 10_000
HOLD_OUTLIVES_S = 1.5
UNMEASURED = -1.0
"""What a run has used, where nobody measured it: the job's estimated cost stays charged."""
log = get_logger()

Used = tuple[Member, float]
"""A job whose run is over, and the milliseconds that it used; 0: it was not begun."""
Line = Literal["ready", "over"]


@dataclass(frozen=True)
class Look:
    """One queue at a glance; *borrowed*, *retaken* and *served* count since Redis was last rebuilt."""

    waiting: int
    taken: int
    due: int
    slots: int
    retaken: int
    ready: int
    over: int
    borrowed: int
    served: int
    paused: int
    idle: int


@dataclass(frozen=True)
class Beat:
    """What a sign of life is answered: all slots of the queue, and the borrowed ones that another now needs."""

    slots: int
    asked_back: frozenset[Member]


@dataclass(frozen=True)
class Standing:
    """Why a queued job does not run yet, and how many of its own organization stand before it, if known."""

    reason: str
    ahead: int | None


@dataclass(frozen=True)
class Queuer:
    """An organization in line."""

    org_id: OrgId
    waiting: int
    running: int


class Lanes:
    """The lanes of every queue in the broker's Redis; usable by any process that has its client.

    Every verb raises `Unavailable` if Redis does not answer in the client's time, but those that end in `_soon`:
    they are for callers whose truth is already in MongoDB, where the sweep will find it. *tier_of* names the tier
    of an organization that Redis may not know yet, or nothing.
    """

    def __init__(self, client: "redis.Redis", tier_of: Callable[[OrgId], str] = lambda _: "") -> None:
        self._client = client
        self._execute: Callable[..., Any] = client.execute_command
        self._tier_of = tier_of
        self._told: dict[OrgId, float] = {}
        self._quiet_until = 0.0

    # who waits

    def admit(self, queue: str, members: Iterable[tuple[Member, int]]) -> int:
        """Put each (member, priority 0-9) into its organization's lane; return how many were new there."""
        return self.admit_all(Entry(queue, member, priority) for member, priority in members)

    def admit_all(self, entries: Iterable[Entry]) -> int:
        """Admit jobs of any queues; return how many were new."""
        return sum(self._admit(queue, some) for queue, some in _by_queue(entries))

    def admit_all_soon(self, entries: Iterable[Entry]) -> None:
        """Admit jobs of any queues, or leave them to the sweep: a 202 stands without Redis."""
        for queue, some in _by_queue(entries):
            self._soon("admit", partial(self._admit, queue, some))

    def back_soon(self, queue: str, entries: Sequence[Entry], *, used_ms: float = UNMEASURED) -> None:
        """Admit jobs that were taken and are queued again, or leave them to the sweep."""
        self._soon("back", lambda: self.back(queue, entries, used_ms=used_ms))

    def back(self, queue: str, entries: Sequence[Entry], *, used_ms: float = UNMEASURED) -> None:
        """Admit jobs that were taken and are queued again; *used_ms* is 0 for those that were not begun."""
        flat = [part for one in entries for part in (str(one.member), one.priority, used_ms, _alone(one))]
        self._call(queue, "back", *flat)

    def unknown(self, queue: str, members: Sequence[Member]) -> set[Member]:
        """Return those of *members* that stand nowhere in Redis."""
        return {Member.parse(raw) for raw in self._call(queue, "unknown", *map(str, members))}

    def forget(self, queue: str, members: Iterable[Member]) -> None:
        """Take *members* out of the lanes, the due times and the taken ones."""
        self._call(queue, "forget", *map(str, members))

    def forget_all_soon(self, entries: Iterable[Entry]) -> None:
        """Forget jobs of any queues, or leave them: a claim of a job that is over finds nothing to claim."""
        for queue, some in _by_queue(entries):
            self._soon("forget", partial(self.forget, queue, [one.member for one in some]))

    # who runs

    def take(
        self,
        queue: str,
        carrier: str,
        *,
        linger_s: float,
        hold_s: float,
        budget_ms: float = 0,
        most: int = RIDERS_MAX,
        released: Sequence[Used] = (),
    ) -> list[Member]:
        """Take the next job, or as many short ones as fit into *budget_ms*, and release those that are over.

        What is taken counts against caps for *hold_s*, unless a `beat` renews it. With nothing to take, the
        carrier is noted as lingering for *linger_s* (then `wait` for its wake-up); with 0 it is forgotten.
        """
        flat = [
            carrier,
            int(linger_s * 1000),
            int(hold_s * 1000),
            budget_ms,
            most,
            len(released),
            *_flat(released),
        ]
        while raw := self._call(queue, "take", *flat):
            found = self._members(queue, raw)
            if found:
                return found
        return []

    def release(self, queue: str, ended: Sequence[Used]) -> None:
        """Say that these no longer run: their slots are free, and what they used is charged."""
        self._call(queue, "release", *_flat(ended))

    def release_soon(self, queue: str, ended: Sequence[Used]) -> None:
        """Release, or leave it: a hold that nobody renews runs out."""
        self._soon("release", lambda: self.release(queue, ended))

    def hold(self, queue: str, members: Sequence[Member], hold_s: float) -> None:
        """Say that these are being run, as a rebuild finds it."""
        self._call(queue, "hold", int(hold_s * 1000), *map(str, members))

    def part(self, queue: str, carrier: str, released: Sequence[Used] = ()) -> None:
        """Release what was taken last and forget the carrier; another is sent if work is waiting."""
        self._call(queue, "part", carrier, *_flat(released))

    def wait(self, queue: str, carrier: str, timeout_s: float) -> bool:
        """Wait up to *timeout_s* seconds for work; tell whether some came. One blocking call."""
        try:
            return self._client.blpop([f"{_PREFIX}{queue}:wake:{carrier}"], timeout=timeout_s) is not None
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def beat(
        self,
        queue: str,
        worker: str,
        slots: int,
        *,
        alive_s: float,
        hold_s: float,
        carriers: Sequence[str] = (),
        claimed: Sequence[Member] = (),
    ) -> Beat:
        """Give a worker's sign of life for *alive_s* seconds, and renew what it holds for *hold_s*."""
        lives = (int(alive_s * 1000), int(hold_s * 1000))
        answer = self._call(queue, "beat", worker, slots, *lives, len(carriers), *carriers, *map(str, claimed))
        return Beat(int(answer[0]), frozenset(Member.parse(raw) for raw in answer[1:]))

    def leave(self, queue: str, worker: str, slots: int, carriers: Sequence[str] = ()) -> None:
        """Say that *worker* ends, or that these carriers of it died; others take over at once."""
        self._call(queue, "leave", worker, slots, *carriers)

    # who waits for a time

    def defer(self, queue: str, member: Member, delay_s: float, *, used_ms: float = UNMEASURED) -> None:
        """Offer *member* again in *delay_s* seconds; its run, if it had one, used *used_ms*."""
        self._call(queue, "defer", int(delay_s * 1000), str(member), used_ms)

    def defer_soon(self, queue: str, member: Member, delay_s: float, *, used_ms: float = UNMEASURED) -> None:
        """Defer, or leave it to the sweep: the record holds its due time."""
        self._soon("defer", lambda: self.defer(queue, member, delay_s, used_ms=used_ms))

    def due(self, queue: str, limit: int = 100) -> tuple[float | None, list[Member]]:
        """Return the seconds until the next due time (`None`: nothing waits) and what is due now."""
        next_ms, *members = self._call(queue, "due", limit)
        return (next_ms / 1000 if next_ms >= 0 else None), self._members(queue, members)

    def wait_for_due(self, queue: str, timeout_s: float) -> None:
        """Wait until an earlier due time arrives, at most *timeout_s* seconds."""
        try:
            self._client.blpop([f"{_PREFIX}{queue}:due_wake"], timeout=max(0.01, timeout_s))
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    # what is seen and steered

    def look(self, queue: str) -> Look:
        """Count what a queue holds."""
        return Look(*map(int, self._call(queue, "look")))

    def standings(self, queue: str, members: Sequence[Member]) -> list[Standing]:
        """Tell of each of these queued jobs why it does not run yet."""
        found = self._call(queue, "standings", *map(str, members))
        return [Standing(reason.decode(), int(ahead) if ahead >= 0 else None) for reason, ahead in found]

    def waiting(self, org_id: OrgId, queues: Sequence[str]) -> tuple[int, int]:
        """Count an organization's jobs that wait in these queues or for a time, and those that it runs."""
        waiting, running = self._call(queues[0], "waiting", in_keys(org_id), *queues)
        return int(waiting), int(running)

    def line(self, queue: str, which: Line, offset: int, limit: int) -> list[Queuer]:
        """List the organizations in line, the next first: those that are ready, or over their caps."""
        return [
            Queuer(org_in_keys(org.decode()), int(waiting), int(running))
            for org, waiting, running in self._call(queue, "line", which, offset, limit)
        ]

    def workers(self, queue: str) -> list[tuple[str, int]]:
        """List the workers that are alive on *queue*, each with its slots."""
        found = (raw.decode().rpartition("|") for raw in self._call(queue, "workers"))
        return [(name, int(slots)) for name, _, slots in found]

    def lay_down(self, tiers: dict[Any, Any], rules: dict[Any, Any], paused: Iterable[OrgId]) -> None:
        """Replace what holds for all queues: tiers ("weight cap"), rules and paused organizations."""
        try:
            with self._client.pipeline() as pipe:
                for key, mapping in ((f"{_ALL}tiers", tiers), (f"{_ALL}rules", rules)):
                    pipe.delete(key)
                    if mapping:
                        pipe.hset(key, mapping=mapping)
                pipe.delete(f"{_ALL}paused")
                if names := [in_keys(org_id) for org_id in paused]:
                    pipe.sadd(f"{_ALL}paused", *names)
                pipe.execute()
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def replace(self, org_id: OrgId, queues: Sequence[str], *, tier: str = "") -> None:
        """Put an organization where it now belongs in these queues, after a change of its tier or a pause."""
        self._call(queues[0], "replace", in_keys(org_id), tier, *queues)

    def unstick(self, queue: str, kind: str) -> None:
        """Put all that waited for *kind* back in line, in bounded steps."""
        while self._call(queue, "unstick", kind):
            log.info("lanes.unsticking", queue=queue, kind=kind)

    def kick(self, queue: str) -> None:
        """Wake or send carriers for what waits."""
        self._call(queue, "kick")

    def known_tiers(self, cursor: int) -> tuple[int, dict[OrgId, str]]:
        """Return some of the tiers that Redis knows, and where to go on; 0 is the beginning and the end."""
        try:
            after, found = cast("Any", self._client.hscan(f"{_ALL}tier_of", cursor, count=200))
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error
        return int(after), {org_in_keys(org.decode()): tier.decode() for org, tier in found.items()}

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
            self._told.clear()
            for pattern in (f"{_PREFIX}*", celery_queue("*")):
                for key in self._client.scan_iter(match=pattern, count=500):
                    self._client.unlink(key)
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def _admit(self, queue: str, entries: Sequence[Entry]) -> int:
        flat = [
            part
            for one in entries
            for part in (str(one.member), one.priority, self._untold_tier(one.member.org_id), _alone(one))
        ]
        return int(self._call(queue, "admit", *flat)) if flat else 0

    def _untold_tier(self, org_id: OrgId) -> str:
        """Return the tier of an organization if Redis was not told of it for some seconds, else nothing."""
        now = time.monotonic()
        if now < self._told.get(org_id, 0.0):
            return ""
        if len(self._told) >= TOLD_MOST:
            self._told.clear()
        self._told[org_id] = now + TOLD_AGAIN_S
        return self._tier_of(org_id)

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

    def _call(self, queue: str, verb: str, *arguments: Any) -> Any:
        given = (2, _PREFIX, celery_queue(QUEUE_MARK), verb, envelope(), queue, *arguments)
        try:
            try:
                return self._execute("EVALSHA", _SHA, *given)
            except NoScriptError:
                return self._execute("EVAL", _SCRIPT, *given)
        except redis.ResponseError as error:
            if any(sign in str(error) for sign in _SPOILT):
                self._ask_for_rebuild(verb, error)
            raise Unavailable("The broker's Redis refuses.") from error
        except redis.RedisError as error:
            raise Unavailable("The broker's Redis does not answer.") from error

    def _ask_for_rebuild(self, verb: str, error: redis.ResponseError) -> None:
        """Take the epoch away: a key is of another type than ours, or a number is none; the sweep rebuilds all."""
        log.error("lanes.spoilt", verb=verb, error=str(error)[:200])
        try:
            self._client.delete(EPOCH)
        except redis.RedisError:
            SWALLOWED.labels("lanes.spoilt").inc()  # whoever meets it next asks again

    def _soon(self, verb: str, attempt: Callable[[], object]) -> None:
        """Try once; while Redis is away, at most one request a second pays for finding out."""
        if time.monotonic() < self._quiet_until:
            SWALLOWED.labels(f"lanes.{verb}").inc()
            return
        try:
            attempt()
        except Unavailable:
            SWALLOWED.labels(f"lanes.{verb}").inc()
            self._quiet_until = time.monotonic() + _QUIET_S


EPOCH = "fairway:epoch"
"""The key that says whose lanes these are; without it they are rebuilt."""


def hold_s(lease_s: float) -> float:
    """Return how long a job counts against caps without a sign of life: longer than its lease, so never too short.

    Within the lease, and a sweep, its death is noticed in MongoDB, and it counts no longer.
    """
    return lease_s + HOLD_OUTLIVES_S


def _by_queue(entries: Iterable[Entry]) -> Iterable[tuple[str, list[Entry]]]:
    """Group *entries* by queue, in calls of at most `MEMBERS_MAX`."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.queue:
            found[entry.queue].append(entry)
    for queue, some in found.items():
        for start in range(0, len(some), MEMBERS_MAX):
            yield queue, some[start : start + MEMBERS_MAX]


def _flat(ended: Sequence[Used]) -> list[Any]:
    return [part for member, used_ms in ended for part in (str(member), round(used_ms, 3))]


def _alone(entry: Entry) -> str:
    return "!" if entry.alone else ""
