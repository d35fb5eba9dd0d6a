"""The reports that organizations had written, until they expire.

Their bytes stay in the ledger of loose bytes, doomed from the beginning on the day that they expire: the cleaner
deletes them then, and whatever removes an organization removes them with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel

from common.analytics.export_report import ReportFormat, ReportKind
from common.clock import Clock
from common.errors import NotFound
from common.files import ledger
from common.files.collections import LOOSE_BLOBS
from common.ids import JobId, OrgId
from common.storage.blob_store import BlobStore
from common.tenancy.collections import TenantCollection
from common.tenancy.scope import OrgScope

ABSENT = "There is no such report."
REPORTS_MOST = 100
"""Reports that an organization keeps at a time; one more fails and says so."""

REPORTS = TenantCollection(
    "reports",
    (
        IndexModel([("org_id", ASCENDING), ("_id", DESCENDING)], name="newest"),
        IndexModel([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0),
    ),
    travels=False,
)


@dataclass(frozen=True)
class Report:
    """A stored report; *report_id* is its job's. *rows* is how many the file has, without a heading."""

    report_id: str
    report: ReportKind
    format: ReportFormat
    start: datetime
    end: datetime
    tz: str
    source_id: str | None
    blob_id: str
    rows: int
    size_bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime

    @property
    def filename(self) -> str:
        """Return what the file is called: what it reports on, and the days."""
        return f"{self.report}-{self.start:%Y-%m-%d}-{self.end:%Y-%m-%d}.{self.format}"


class Reports:
    """The reports of all organizations, each asked for with its organization."""

    def __init__(self, scope_of: Callable[[OrgId], OrgScope], blobs: BlobStore, clock: Clock) -> None:
        self._scope_of = scope_of
        self._blobs = blobs
        self._clock = clock

    def get(self, org_id: OrgId, report_id: str) -> Report:
        """Return a report. Raises `NotFound`, also for an expired one and for another organization's."""
        found = self._scope_of(org_id)[REPORTS].find_one({"_id": report_id, **self._kept()})
        if found is None:
            raise NotFound(ABSENT)
        return _read(found)

    def page(self, org_id: OrgId, *, before: str | None, limit: int) -> list[Report]:
        """List up to *limit* reports, the newest first."""
        where = self._kept() | ({"_id": {"$lt": before}} if before is not None else {})
        return [_read(one) for one in self._scope_of(org_id)[REPORTS].find(where, sort=[("_id", -1)], limit=limit)]

    def is_full(self, org_id: OrgId) -> bool:
        """Tell whether the organization keeps as many reports as may be."""
        return self._scope_of(org_id)[REPORTS].count_documents(self._kept(), limit=REPORTS_MOST) >= REPORTS_MOST

    def delete(self, org_id: OrgId, report_id: str) -> None:
        """Delete a report with its bytes; a store that fails has the cleaner do it. Raises `NotFound`."""
        blob_id, now = self.get(org_id, report_id).blob_id, self._clock.now()
        scope = self._scope_of(org_id)

        def work(inner: OrgScope) -> None:
            inner[REPORTS].delete_one({"_id": report_id})
            inner[LOOSE_BLOBS].update_one({"_id": blob_id, "state": "doomed"}, {"$set": {"until": now}})

        scope.transaction(work)
        ledger.delete(scope, self._blobs, [blob_id], now)

    def _kept(self) -> dict[str, Any]:
        return {"expires_at": {"$gt": self._clock.now()}}


def keep(scope: OrgScope, report: Report) -> None:
    """Note a report whose bytes are stored and in the ledger, in the transaction of *scope*."""
    ledger.settle_one(scope, JobId(report.report_id), report.blob_id, report.created_at)
    ledger.doom(scope, [report.blob_id], report.expires_at)
    fields = {name: value for name, value in vars(report).items() if name != "report_id"}
    scope[REPORTS].insert_one({"_id": report.report_id, **fields})


def _read(document: Mapping[str, Any]) -> Report:
    fields = {name: value for name, value in document.items() if name not in {"_id", "org_id"}}
    return Report(report_id=document["_id"], **fields)
