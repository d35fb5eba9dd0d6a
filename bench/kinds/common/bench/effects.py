"""What a benchmark's handler writes."""

from pymongo import ASCENDING, IndexModel

from common.tenancy.collections import TenantCollection

EFFECTS = TenantCollection("bench_effects", (IndexModel([("org_id", ASCENDING)], name="org"),))
