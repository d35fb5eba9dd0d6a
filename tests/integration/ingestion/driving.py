"""How tests drive a run of an ingestion by hand: claim it, let it die, let its waits be over, check its traces."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from common.jobs.leases import Claimed
from common.jobs.record import JobRecord
from common.services import Services
from common.sources.collections import SOURCE_RUNS
from common.tickets.collections import REFUSED_ROWS, TICKETS
from common.tickets.seen import SEEN
from tests.integration.conftest import Asked
from tests.integration.ingestion.conftest import FIGURES, Ingestion
from tests.source_server import Answer, Call
from workers.context import Context, Signals
from workers.runner import Outcome

Make = Callable[[Services, Claimed], Context]
_AGAIN = {"$set": {"state": "queued"}, "$unset": {"waiting_for": "", "run_at": "", "lease": ""}}


class Death(BaseException):
    """The process is gone: nothing after this line runs."""


def claim(ingestion: Ingestion, record: JobRecord) -> Claimed:
    """Claim a job, as if what it waits for, or the lease of who died over it, were over."""
    services = ingestion.services
    left = {"_id": record.id, "state": {"$in": ["waiting", "running"]}}
    services.control.jobs.update_one(left, _AGAIN)
    claimed = services.jobs.claim(record.entry.member, "test")
    assert claimed is not None, services.jobs.get(record.org_id, record.id)
    return claimed


def go(
    ingestion: Ingestion, record: JobRecord, make: Make | None = None, *, signals: Signals | None = None
) -> JobRecord:
    """Let a job run once, in a context that *make* makes; return its record."""
    outcome = outcome_of(ingestion, claim(ingestion, record), make, signals=signals)
    ingestion.slot.outcomes.append(outcome[1])
    ingestion.slot.write(*outcome)
    return ingestion.services.jobs.get(record.org_id, record.id)


def outcome_of(
    ingestion: Ingestion, claimed: Claimed, make: Make | None = None, *, signals: Signals | None = None
) -> tuple[Claimed, Outcome]:
    """Run the handler; what became of it is not written down yet."""
    from workers.runner import run

    made = make(ingestion.services, claimed) if make is not None else None
    return claimed, run(claimed, made or Context(ingestion.services, claimed, signals))


def finish(ingestion: Ingestion, record: JobRecord, most: int = 40) -> JobRecord:
    """Let a job run to its end, as if each wait of it were over at once."""
    for _ in range(most):
        if record.is_final:
            return record
        let_waits_be_over(ingestion)
        record = go(ingestion, record)
    raise AssertionError(f"not over after {most} claims: {record}")


def let_waits_be_over(ingestion: Ingestion) -> None:
    """Have Redis forget who is ill and who is held back."""
    shared = ingestion.services.shared
    keys = [*shared.scan_iter("fairway:breaker:*"), *shared.scan_iter("fairway:rate:*:held*")]
    if keys:
        shared.delete(*keys)
    ingestion.services.breaker._known.clear()


def cancelling(after_writes: int) -> Make:
    """Make contexts that are asked to cancel once they have written so often."""
    return _stopping(after_writes, Asked(cancel=True))


def closing(after_writes: int) -> Make:
    """Make contexts whose worker shuts down once they have written so often."""
    return _stopping(after_writes, Asked(close=True))


def _stopping(after_writes: int, asked: Asked) -> Make:
    class Stopping(Context):
        writes = 0

        def write(self, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes >= after_writes:
                self._signals = asked
            return super().write(*args, **options)

    return Stopping


def dying(at_write: int, *, committed: bool) -> Make:
    """Make contexts that die at their n-th write, just before it begins or just after it is committed."""

    class Dying(Context):
        writes = 0

        def write(self, *args: Any, **options: Any) -> Any:
            self.writes += 1
            if self.writes < at_write:
                return super().write(*args, **options)
            if committed:
                super().write(*args, **options)
            raise Death

    return Dying


def refused(ingestion: Ingestion, record: JobRecord) -> list[tuple[int, str | None, str]]:
    """Return what a run set aside, in the order in which it was written."""
    rows = ingestion.services.scope(ingestion.org_id)[REFUSED_ROWS].find({"job_id": record.id}, sort=[("_id", 1)])
    return [(one["line"], one["column"], one["reason"]) for one in rows]


def turn(ingestion: Ingestion) -> dict[str, Any]:
    """Return whose turn it is at the source."""
    return ingestion.services.scope(ingestion.org_id)[SOURCE_RUNS].find_one({"_id": ingestion.source_id}) or {}


def check(ingestion: Ingestion, record: JobRecord) -> None:
    """Check what is so after every run that ended well, whatever was done to it meanwhile."""
    scope = ingestion.services.scope(ingestion.org_id)
    assert record.state == "succeeded", record
    assert ingestion.texts() == ingestion.source.texts()
    keys = Counter(one["natural_key"] for one in scope[TICKETS].find({"source_id": ingestion.source_id}))
    assert not [key for key, count in keys.items() if count > 1]
    check_history(ingestion)
    log, result = ingestion.log(record), record.result
    assert log["status"] == "succeeded"
    assert log["ended_at"] is not None
    names = [*FIGURES, "pages"]
    assert {name: log[name] for name in names} == {name: result[name] for name in names}
    ingestion.figures(record)
    assert turn(ingestion)["job_id"] is None
    assert scope[SEEN].count_documents({"job_id": record.id}) == 0


def check_history(ingestion: Ingestion) -> None:
    """Check that each ticket is what its history, replayed, makes of it, and that each change is there once."""
    entries = Counter[str]()
    last: dict[tuple[str, str], Any] = {}
    for one in ingestion.history():
        entries[one["ticket_id"]] += 1
        for change in one["changes"]:
            place = (one["ticket_id"], change["field"])
            assert place not in last or last[place] == change["old"], f"{place} was {last[place]}, not {change}"
            last[place] = change["new"]
    tickets = {one["_id"]: one for one in ingestion.services.scope(ingestion.org_id)[TICKETS].find({})}
    for (ticket_id, field), value in last.items():
        if ticket_id in tickets and not field.startswith("attributes"):
            assert tickets[ticket_id].get(field) == value
    for ticket_id, ticket in tickets.items():
        assert (ticket.get("revision") or 0) == entries[ticket_id], (ticket, entries[ticket_id])


def with_next(source_page: Answer, url: str) -> Answer:
    """Return the page with another next one."""
    return Answer(body=source_page.body, headers={"Link": f'<{url}>; rel="next"'})


def place_of(call: Call) -> int:
    """Return at which record a page begins."""
    return int(call.query.get("offset", 0))
