"""What the probe writes: one mark a step, each with an id of its own, so that a repetition would show."""

from pymongo import ASCENDING, IndexModel

from common.tenancy.collections import TenantCollection

MARKS = TenantCollection("probe_marks", (IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING)], name="job"),))
