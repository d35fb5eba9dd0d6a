"""Ingestion under faults: a fleet that ingests, sources that change meanwhile, and what must be so afterwards."""

import itertools
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from common.caller import Caller
from common.clock import SystemClock
from common.ids import JobId, OrgId, new_id
from common.jobs.record import FINAL, JobRecord
from common.sources.draft import Draft
from common.sources.running import Mode
from common.tickets.collections import HISTORY, TICKETS
from common.tickets.ingest import IngestTickets
from tests.faults.checker import Row
from tests.faults.fleet import RECOVERY_S, ROWS, Fleet, until
from tests.integration.conftest import Slot, caller_of, make_organization
from tests.integration.ingestion.conftest import Ingestion
from tests.integration.ingestion.driving import check
from tests.integration.tickets.counted import kept_counts, recounted
from tests.source_server import REST, Answer, Call, Source

INGESTERS = ("ingester-1", "ingester-2")
UNCOUNTED = ("_id", "org_id", "source_id", "job_id", "ticket_id", "created_at", "updated_at", "recorded_at")
PAGE = 20


@dataclass
class Tenant:
    """An organization with a source, and the runs of it that were accepted."""

    ingestion: Ingestion
    runs: list[JobId] = field(default_factory=list)

    @property
    def org_id(self) -> OrgId:
        """Return whose it is."""
        return self.ingestion.org_id


class IngestionAtRisk:
    """A fleet whose workers ingest, and a server of sources that a test may change and break."""

    def __init__(
        self, *, per_minute: int = 100_000, ingesters: Iterable[str] = INGESTERS, slots: int = 2, records: int = 0
    ) -> None:
        self.source = Source(records)
        self.others: list[Source] = []
        self._serving = self.source.serving()
        self._serving.__enter__()
        self._per_minute = per_minute
        self._ingesters = tuple(ingesters)
        self._slots = slots
        self.delay_s = 0.0
        self._stop = threading.Event()
        self._back_at = 0.0

    def start(self, *hosts: str) -> "IngestionAtRisk":
        """Start it, with further *hosts* that may be called; return when all slots are alive."""
        given = {
            "INGEST_ALLOWED_HOSTS": ",".join([self.source.host, *hosts]),
            "INGEST_REQUESTS_PER_MINUTE": str(self._per_minute),
        }
        self.fleet = Fleet(workers=0, given=given, slots=self._slots)
        self.fleet.start()
        self.services = self.fleet.services
        for name in self._ingesters:
            self.fleet.run(name)
        many = self._slots * len(self._ingesters)
        until(lambda: self.fleet.checker.slots("ingestion") >= many, "the ingesters", 60, self.report)
        self.source.interfere = self._delayed
        return self

    def close(self) -> None:
        """Stop everything."""
        self._stop.set()
        if hasattr(self, "fleet"):
            self.fleet.close()
        self._serving.__exit__(None, None, None)

    # Sources.

    def tenant(
        self,
        caller: Caller | None = None,
        *,
        source: Source | None = None,
        token: str | None = None,
        page: int = PAGE,
    ) -> Tenant:
        """Return a source of a new organization, or of the *caller*'s, with a credential if it has one."""
        served = source or self.source
        caller = caller or caller_of(make_organization(self.services, f"Tenant {new_id()}"))
        config = {**REST, "auth": {"style": "bearer"}} if token is not None else REST
        draft = Draft(name="Source", connector="rest", base_url=served.url, page_size=page, config=config)
        made = self.services.sources.create(caller, draft, {"token": token} if token is not None else {})
        return Tenant(Ingestion(self.services, caller, cast("Slot", None), served, made.source_id))

    def start_run(self, of: Tenant, mode: Mode = "full", ends: tuple[str, ...] = ("succeeded",)) -> JobRecord:
        """Have a run accepted, which is to end so."""
        record = self.services.runs.start(of.ingestion.caller, of.ingestion.source_id, mode)
        of.runs.append(record.id)
        self.fleet.expect(record, IngestTickets(source_id=of.ingestion.source_id, mode=mode), ends)
        return record

    def record(self, of: Tenant) -> JobRecord:
        """Return the tenant's last run as it is now."""
        return self.services.jobs.get(of.org_id, of.runs[-1])

    def ended(self, of: Tenant, within_s: float = 90) -> JobRecord:
        """Return the tenant's last run once it has ended."""
        until(lambda: self.record(of).is_final, "the run to end", within_s, self.report)
        return self.record(of)

    def pages(self, of: Tenant) -> int:
        """Return how many pages the tenant's last run has written."""
        progress = self.record(of).progress
        return (progress.done if progress is not None else 0) // PAGE

    def under_way(self, of: Tenant, more: int = 3) -> None:
        """Return when so many *more* pages are written."""
        before = self.pages(of)
        until(lambda: self.pages(of) >= before + more, "pages under way", 40, self.report)

    def holder(self, of: Tenant, within_s: float = 40) -> str:
        """Return the name of the worker that runs the tenant's last run now."""
        jobs = self.services.control.jobs

        def found() -> str | None:
            lease = (jobs.find_one({"_id": of.runs[-1]}, {"lease": 1}) or {}).get("lease") or {}
            return cast("str | None", lease.get("worker"))

        until(lambda: found() is not None, "a worker to run it", within_s, self.report)
        return (found() or INGESTERS[0]).partition("@")[0]

    @contextmanager
    def changing(self, seed: int = 1, every_s: float = 0.05) -> Iterator[None]:
        """Change records, add and remove some, all the while."""
        stop, draw = threading.Event(), random.Random(seed)

        def change() -> None:
            while not stop.wait(every_s):
                change_one(self.source, draw)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)

    # Faults and what came of them.

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Do a fault; whatever it hit goes on within `RECOVERY_S` of its end."""
        yield
        self._back_at = time.monotonic()

    def recovery_s(self) -> float:
        """Return how long after the fault the source was asked again."""
        until(lambda: any(call.at > self._back_at for call in self.calls()), "a call", RECOVERY_S, self.report)
        return next(call.at for call in self.calls() if call.at > self._back_at) - self._back_at

    def calls(self) -> list[Call]:
        """Return all calls so far."""
        with self.source.lock:
            return list(self.source.calls)

    def check(self, fault: str, tenants: Iterable[Tenant], recovery_s: float | None = None) -> None:
        """Check every tenant's tickets, history, log and turn, and the fleet; note the fault for the table."""
        tenants = list(tenants)
        self.fleet.settle()
        for one in tenants:
            check(one.ingestion, self.record(one))
            check_claims(one)
            scope = one.ingestion.services.scope(one.org_id)
            assert kept_counts(scope) == recounted(scope)
        self.fleet.checker.check(
            self.fleet.accepted.values(), fault=fault, hit=frozenset(), back_at=0.0, report=self.report
        )
        states = [one.state for one in self.fleet.records()]
        assert set(states) <= FINAL
        ended = tuple(states.count(state) for state in ("succeeded", "failed", "cancelled"))
        ROWS.append(Row(fault, len(states), cast("tuple[int, int, int]", ended), 0, 0, recovery_s))

    def report(self) -> str:
        """Say what is not over."""
        return f"{len(self.source.calls)} calls\n{self.fleet.report()}"

    def _delayed(self, _call: Call, _number: int) -> Answer | None:
        ends_at = time.monotonic() + self.delay_s
        while time.monotonic() < ends_at and self.delay_s:
            self._stop.wait(0.01)
        return None


def check_claims(of: Tenant) -> None:
    """Check that no ticket was changed twice by the same run in the same way."""
    for one, other in itertools.pairwise(sorted(of.ingestion.history(), key=_place)):
        assert _place(one) != _place(other) or one["changes"] != other["changes"], (one, other)


def _place(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["ticket_id"], str(entry["job_id"]), entry["action"]


def change_one(source: Source, draw: random.Random) -> None:
    """Change, add or remove a record, dated now."""
    at = SystemClock().now()
    with source.lock:
        known = list(source.records)
    fate = draw.random()
    if fate < 0.6:
        source.put(draw.choice(known), at=at, text=f"Changed {draw.random()}.")
    elif fate < 0.8:
        source.put(f"t-{new_id()}", at=at, text="New.")
    else:
        source.remove(draw.choice(known))


def told(of: Tenant) -> dict[str, Any]:
    """Return all that a tenant's runs left, but for ids and times: two that went alike are equal."""
    scope = of.ingestion.services.scope(of.org_id)
    tickets = {one["_id"]: one for one in scope[TICKETS].find({"source_id": of.ingestion.source_id})}
    history: dict[str, list[Any]] = {}
    for entry in scope[HISTORY].find({}, sort=[("_id", 1)]):
        key = tickets[entry["ticket_id"]]["natural_key"]
        history.setdefault(key, []).append((entry["action"], entry["changes"]))
    return {
        "tickets": {one["natural_key"]: _without_times(one) for one in tickets.values()},
        "history": history,
        "counts": [_counts(of, job_id) for job_id in of.runs],
    }


def _without_times(ticket: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in ticket.items() if name not in UNCOUNTED}
    instants = {name: kept.get(name) is not None for name in ("deleted_at", "expires_at", "responded_at")}
    return {**kept, **instants}


def _counts(of: Tenant, job_id: JobId) -> dict[str, Any]:
    result = of.ingestion.services.jobs.get(of.org_id, job_id).result
    return {name: value for name, value in result.items() if name not in {"source_id", "refused_records"}}
