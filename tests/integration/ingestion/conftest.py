"""An organization with a source on this machine, and a worker's slot that ingests it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from common.caller import Caller
from common.config import Settings
from common.ids import OrgId
from common.jobs.record import JobRecord
from common.services import Services
from common.sources.collections import INGESTION_LOGS
from common.sources.draft import Draft
from common.tickets.collections import HISTORY, TICKETS
from tests.integration.conftest import Slot, caller_of
from tests.source_server import REST, Source
from workers import runner
from workers.tickets.ingesting import ledger

FIGURES = ("new", "updated", "unchanged", "returned", "repeated", "errors", "deleted")


@dataclass
class Ingestion:
    """A source of an organization, and what a test does with it."""

    services: Services
    caller: Caller
    slot: Slot
    source: Source
    source_id: str

    @property
    def org_id(self) -> OrgId:
        """Return whose source it is."""
        return self.caller.org_id

    def start(self, mode: Any = "incremental") -> JobRecord:
        """Have a run accepted."""
        return self.services.runs.start(self.caller, self.source_id, mode)

    def step(self) -> JobRecord | None:
        """Let the slot do one job of the queue, as far as it goes."""
        return self.slot.step("ingestion")

    def run(self, mode: Any = "incremental") -> JobRecord:
        """Start a run and let the slot do it as far as it goes at once."""
        self.start(mode)
        record = self.step()
        assert record is not None
        return record

    def figures(self, record: JobRecord) -> dict[str, int]:
        """Return what a run says it did, but for what it says it did not."""
        assert record.result is not None, record
        assert record.result["read"] == sum(record.result[name] for name in FIGURES if name != "deleted")
        return {name: record.result[name] for name in FIGURES if record.result[name]}

    def tickets(self, **where: Any) -> dict[str, dict[str, Any]]:
        """Return the live tickets of the source by external id."""
        mine = {"source_id": self.source_id, "deleted_at": None, **where}
        found = self.services.scope(self.org_id)[TICKETS].find(mine)
        return {one["external_id"]: one for one in found}

    def texts(self) -> dict[str, str]:
        """Return external id → message of the live tickets."""
        return {key: one["message"] for key, one in self.tickets().items()}

    def history(self) -> list[dict[str, Any]]:
        """Return what became of all tickets, in its order."""
        return list(self.services.scope(self.org_id)[HISTORY].find({}, sort=[("_id", 1)]))

    def log(self, record: JobRecord) -> dict[str, Any]:
        """Return the log of a run as it is kept."""
        found = self.services.scope(self.org_id)[INGESTION_LOGS].find_one({"_id": record.id})
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def pages_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put off no write, so that every page is a boundary; `test_put_off.py` is about those that are."""
    monkeypatch.setattr(ledger, "WRITTEN_EVERY_S", 0.0)


@pytest.fixture
def source() -> Iterator[Source]:
    """Return a source without records, that is being served."""
    with Source().serving() as served:
        yield served


@pytest.fixture
def services(settings: Settings, source: Source) -> Iterator[Services]:
    """Return the services of a process that may call the source as often as it likes."""
    runner.discover()
    own = settings.model_copy(
        update={"ingest_allowed_hosts": (source.host,), "ingest_requests_per_minute": 100_000}
    )
    made = Services(own)
    made.prepare()
    yield made
    made.close()


@pytest.fixture
def ingestion(services: Services, org_id: OrgId, slot: Slot, source: Source) -> Ingestion:
    """Return an ingestion of the source, in pages of ten."""
    caller = caller_of(org_id)
    draft = Draft(name="Replay", connector="rest", base_url=source.url, page_size=10, config=REST)
    made = services.sources.create(caller, draft, {})
    return Ingestion(services, caller, slot, source, made.source_id)
