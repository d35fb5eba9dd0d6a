"""One job's work among few and among many stored jobs: the same commands, keys and documents at both.

Counted, not timed: commands by the driver, keys and documents examined by MongoDB's profiler, calls by Redis.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import monitoring

from bench.rig import rig

FEW = 1_000
MANY = int(os.environ.get("BENCH_RECORDS", "1000000"))
WAITING_PERCENT = 1
BATCH = 10_000
STEPS = (
    *("submit", "take", "claim", "confirm", "fenced write", "renew", "news", "finish", "get"),
    *("expired leases", "a page of jobs"),
)


class Commands(monitoring.CommandListener):
    """Counts the commands that this process sends to MongoDB."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count one."""
        self.count += event.command_name not in {"hello", "ping", "endSessions"}

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Do nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Do nothing."""


def main() -> int:
    """Count with few and with many records, print both, and return 1 if they differ."""
    commands = Commands()
    monitoring.register(commands)
    with rig() as made:
        os.environ.update({key: value for key, value in made.environment().items() if key.startswith("FAIRWAY_")})
        from bench.submit import organization, services

        platform = services()
        caller = organization(platform)
        count = Counting(platform, commands)
        found, stored = {}, 0
        for records in (FEW, MANY):
            fill(platform, caller, stored, records)
            stored = records
            found[records] = count.one_life(caller)
        platform.close()
    print(f"{'one job: Mongo commands / keys / documents / Redis calls':58} {FEW:>16,} {MANY:>16,}")
    for step in STEPS:
        few, many = (" / ".join(map(str, found[records][step])) for records in (FEW, MANY))
        print(f"{step:58} {few:>16} {many:>16}   {'same' if few == many else 'DIFFERENT'}", flush=True)
    return int(found[FEW] != found[MANY])


def fill(made: Any, caller: Any, first: int, last: int) -> None:
    """Store records until there are *last*: most have succeeded, some wait, of a hundred organizations."""
    from common.bench.do_nothing import DoNothing
    from pymongo import WriteConcern

    from bench.submit import organization
    from common.ids import JobId, OrgId, new_id
    from common.jobs.record import entry_of, new_document

    others = [organization(made) for _ in range(20)] + [caller]
    soon = made.control.jobs.with_options(write_concern=WriteConcern(w=1))
    for start in range(first, last, BATCH):
        documents = []
        for number in range(start, min(last, start + BATCH)):
            whose = others[number % len(others)]
            document = new_document(
                whose,
                DoNothing(number=number),
                org_id=OrgId(whose.org_id),
                job_id=JobId(new_id()),
                now=made.clock.now(),
                run_at=None,
                priority=None,
                tags=(),
            )
            if number % 100 >= WAITING_PERCENT:
                document |= {"state": "succeeded", "finished_at": document["created_at"], "result": None}
            documents.append(document)
        soon.insert_many(documents, ordered=False)
        made.lanes.admit_all(entry_of(one) for one in documents if one["state"] == "queued")


class Counting:
    """Counts what the steps of one job's life ask of the servers."""

    def __init__(self, made: Any, commands: Commands) -> None:
        self._made = made
        self._commands = commands
        self._client = made.control.jobs.database.client
        self._databases = [self._client["bench"], self._client["bench_data"]]

    def one_life(self, caller: Any) -> dict[str, tuple[int, int, int, int]]:
        """Let one job live; return (MongoDB commands, keys, documents, Redis calls) of each step."""
        from common.bench.do_nothing import DoNothing
        from common.bench.effects import EFFECTS

        from common.jobs.leases import Held
        from workers.context import Context

        self._warm_up(caller)
        made, found = self._made, dict[str, tuple[int, int, int, int]]()
        with self._counted(found, "submit"):
            record = made.submit(caller, DoNothing(number=-1), priority=9)
        with self._counted(found, "take"):
            (member,) = made.lanes.take("bench", "1-1", linger_s=0, hold_s=30)
        if member != record.entry.member:
            raise RuntimeError("the job of the highest priority was not the first")
        with self._counted(found, "claim"):
            claimed = made.jobs.claim(member, "bench")
        with self._counted(found, "confirm"):
            made.jobs.confirm(claimed)
        ctx = Context(made, claimed)
        ctx._is_confirmed = True  # noqa: SLF001 (counted by itself)
        with self._counted(found, "fenced write"):
            ctx.write(lambda scope: scope[EFFECTS].insert_one({"_id": record.id}), checkpoint={"next": 1})
        held = [Held(claimed.org_id, claimed.job_id, claimed.token)]
        with self._counted(found, "renew"):
            made.jobs.renew(held)
        with self._counted(found, "news"):
            made.jobs.news(held)
        with self._counted(found, "expired leases"):
            made.jobs.expired(1_000)
        with self._counted(found, "finish"):
            made.jobs.succeed(claimed, None)
        with self._counted(found, "get"):
            made.jobs.get(caller.org_id, record.id)
        with self._counted(found, "a page of jobs"):
            made.jobs.page(caller.org_id, limit=20)
        made.lanes.forget("bench", [member])
        return found

    def _warm_up(self, caller: Any) -> None:
        """Let what is asked once a process be asked before: the organization's place, the script."""
        self._made.scope(caller.org_id)
        self._made.lanes.look("bench")

    @contextmanager
    def _counted(self, found: dict[str, tuple[int, int, int, int]], step: str) -> Iterator[None]:
        for database in self._databases:
            database.command("profile", 0)
            database.drop_collection("system.profile")
            database.command("profile", 2)
        calls, before = self._redis_calls(), self._commands.count
        yield
        sent = self._commands.count - before
        answered = self._redis_calls() - calls
        keys, documents = self._examined()
        found[step] = (sent, keys, documents, answered.total())

    def _redis_calls(self) -> Counter[str]:
        stats = self._made.broker.info("commandstats")
        return Counter({name: one["calls"] for name, one in stats.items() if name != "cmdstat_info"})

    def _examined(self) -> tuple[int, int]:
        keys = documents = 0
        for database in self._databases:
            database.command("profile", 0)
            for one in database["system.profile"].find({"ns": {"$not": {"$regex": "system.profile"}}}):
                keys += one.get("keysExamined", 0)
                documents += one.get("docsExamined", 0)
        return keys, documents


if __name__ == "__main__":
    sys.exit(main())
