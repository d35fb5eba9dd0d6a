"""What the probe writes: one mark a step, keyed by job and step, so that a repetition would collide."""

from pymongo import ASCENDING, IndexModel

from common.tenancy.collections import TenantCollection

MARKS = TenantCollection("probe_marks", (IndexModel([("org_id", ASCENDING), ("job_id", ASCENDING)], name="job"),))
