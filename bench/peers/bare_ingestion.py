"""The bare script: fetch pages of tickets and upsert them in bulk; no tenants, no checks, no resumption."""

import time
from datetime import datetime
from urllib.parse import urljoin

import orjson
import urllib3
from pymongo import UpdateOne
from pymongo.collection import Collection


def rate(url: str, tickets: Collection) -> float:
    """Return how many records a second come in."""
    started = time.perf_counter()
    return run(url, tickets) / (time.perf_counter() - started)


def run(url: str, tickets: Collection) -> int:
    """Bring what is at *url* and behind it into *tickets*; return how many records there were."""
    pool, count = urllib3.PoolManager(), 0
    while url:
        answer = pool.request("GET", url)
        records = orjson.loads(answer.data)["data"]
        tickets.bulk_write([upsert(record) for record in records], ordered=False)
        count += len(records)
        link = answer.headers.get("Link", "")
        url = urljoin(url, link[1 : link.index(">")]) if link else ""
    return count


def upsert(record: dict) -> UpdateOne:
    """Return what puts a record in place of what was there."""
    key = f"id:{record['id']}"
    fields = {
        "external_id": record["id"],
        "customer_id": record["customer"],
        "subject": record["subject"],
        "message": record["text"],
        "status": record["status"],
        "tags": record["tags"],
        "created_at": datetime.fromisoformat(record["created_at"]),
        "attributes": {"priority": record["priority"], "assignee": record["assignee"]},
    }
    return UpdateOne({"org_id": "bare", "source_id": "bare", "natural_key": key}, {"$set": fields}, upsert=True)
