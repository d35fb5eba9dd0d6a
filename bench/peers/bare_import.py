"""The bare script: parse a CSV of tickets and upsert it in bulk; no tenants, no checks, no resumption."""

import csv
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from pymongo import UpdateOne
from pymongo.collection import Collection

BATCH = 1_000


def run(path: Path, tickets: Collection) -> int:
    """Import *path* into *tickets*; return how many rows there were."""
    batch, rows = [], 0
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            key = row["external_id"] or hashlib.sha256("\0".join(row.values()).encode()).hexdigest()
            fields = {**row, "org_id": "bare", "source_id": "import", "created_at": datetime.now(UTC)}
            batch.append(
                UpdateOne(
                    {"org_id": "bare", "source_id": "import", "external_id": key}, {"$set": fields}, upsert=True
                )
            )
            if len(batch) == BATCH:
                tickets.bulk_write(batch, ordered=False)
                batch = []
    if batch:
        tickets.bulk_write(batch, ordered=False)
    return rows
