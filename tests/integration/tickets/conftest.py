"""An importer: the real handler, run by the real runner on a real MongoDB, with a job record of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from common.caller import Caller
from common.clock import SystemClock
from common.config import Settings
from common.ids import JobId, OrgId, new_id
from common.jobs.idempotency import IDEMPOTENCY_INDEXES
from common.jobs.kind import discover
from common.jobs.record import JobRecord, new_document
from common.jobs.store import JOBS_INDEXES, JobStore
from common.metering.meter import Meter
from common.services import Services
from common.storage.folder import FolderBlobStore
from common.tenancy.changes import Changes
from common.tenancy.collections import TenantCollection
from common.tenancy.connection import connect
from common.tenancy.control import ControlPlane
from common.tenancy.registry import Registry
from common.tenancy.remembered import Remembered
from common.tickets.collections import TICKETS
from common.tickets.import_file import ImportFile
from common.tickets.ticket import public
from workers.context import Context
from workers.runner import Outcome, run
from workers.tickets import import_file as _registers_itself  # noqa: F401


@dataclass
class Importer:
    """Submits imports of one organization and runs them in this process."""

    services: Services
    org_id: OrgId
    context: type[Context] = field(default=Context)

    def submit(self, content: bytes | Iterable[bytes], **options: Any) -> JobRecord:
        """Store *content* and write down that it is to be imported; *options* are the job's."""
        chunks = [content] if isinstance(content, bytes) else content
        blob = self.services.blobs.save(chunks, max_bytes=10**10)
        given: dict[str, Any] = {"filename": "f", "format": "csv", "mapping": {}, **options}
        caller = Caller(org_id=self.org_id, user_id=new_id(), role="admin", request_id="test")
        document = new_document(
            caller,
            ImportFile(blob_id=blob.id, **given),
            org_id=self.org_id,
            job_id=JobId(new_id()),
            now=self.services.clock.now(),
            run_at=None,
            priority=None,
            tags=(),
        )
        self.services.control.jobs.insert_one(document)
        return self.services.jobs.get(self.org_id, document["_id"])

    def run(self, record: JobRecord, make: Callable[..., Context] | None = None) -> Outcome:
        """Claim the job and run it once, as a worker does. An error that *make*'s context lets out is a death."""
        jobs = self.services.jobs
        claimed = jobs.claim(record.entry.member, "test")
        assert claimed is not None
        try:
            return run(claimed, (make or self.context)(self.services, claimed))
        finally:
            jobs.give_back(claimed)

    def __call__(self, content: bytes, **options: Any) -> Mapping[str, Any]:
        """Import *content* and return the result; fails unless the job succeeds."""
        outcome = self.run(self.submit(content, **options))
        assert outcome.ending == "succeeded", outcome
        return cast("Mapping[str, Any]", outcome.result)

    def find(self, collection: TenantCollection, **query: Any) -> list[dict[str, Any]]:
        """Return the organization's documents, oldest first."""
        return list(self.services.scope(self.org_id)[collection].find(query, sort=[("_id", 1)]))

    def tickets(self) -> list[dict[str, Any]]:
        """Return the organization's tickets as the API shows them, oldest first."""
        return [public(document) for document in self.find(TICKETS)]


@pytest.fixture(scope="session")
def import_services(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Return what a handler needs of the services, on fresh databases; no Redis has a part in it."""
    discover()  # so that the databases are prepared for every collection that any test will declare
    client = connect(servers.mongo.url, "test")
    clock, suffix = SystemClock(), new_id().replace("-", "")[-12:]
    control_name, data_name = f"control_{suffix}", f"data_{suffix}"
    control = ControlPlane(client, control_name, {"jobs": JOBS_INDEXES, "idempotency": IDEMPOTENCY_INDEXES})
    registry = Registry(control, client, (data_name,), Remembered(Changes(control)))
    control.ensure_indexes()
    registry.prepare_databases()
    yield cast(
        "Services",
        SimpleNamespace(
            clock=clock,
            control=control,
            registry=registry,
            scope=registry.scope,
            jobs=JobStore(control, clock, lease_s=30),
            blobs=FolderBlobStore(tmp_path_factory.mktemp("blobs")),
            meter=Meter(redis.Redis(), clock),  # nobody flushes it
        ),
    )
    client.drop_database(control_name)
    client.drop_database(data_name)
    client.close()


def make_importer(services: Services) -> Importer:
    """Return an importer of an organization of its own."""
    org_id = OrgId(new_id())
    services.control.organizations.insert_one(
        {
            "_id": org_id,
            "name": "Acme",
            "slug": org_id,
            "tier": "free",
            "placement": {"mode": "pooled", "database": services.registry.pooled(org_id).database},
            "created_at": services.clock.now(),
        }
    )
    return Importer(services, org_id)


@pytest.fixture
def importer(import_services: Services) -> Importer:
    """Return an importer of a fresh organization."""
    return make_importer(import_services)


@pytest.fixture
def other_importer(import_services: Services) -> Importer:
    """Return an importer of another organization beside it."""
    return make_importer(import_services)


@pytest.fixture
def apart_importer(settings: Settings) -> Iterator[Importer]:
    """Return an importer whose settings another process can be given."""
    services = Services(settings)
    services.prepare()
    yield make_importer(services)
    services.close()
