"""Folding: deltas that wait are added to the rollups, a bounded number in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from common.ids import new_id
from common.metrics import SWALLOWED
from common.tenancy.scope import OrgScope
from common.tickets.counting.collections import DELTAS, ROLLUPS
from common.tickets.counting.sums import Key, Rollup, summed

FOLD_DELTAS = 64
FOLD_WEIGHT = 10_000

log = structlog.get_logger(__name__)


def fold(scope: OrgScope) -> int:
    """Add the oldest deltas to the rollups, and return how many; 0 if none waits.

    Two who fold at once take turns: the second one's transaction is run again and finds what is left. Raises
    `PyMongoError` if that can't be committed.
    """
    return scope.transaction(_fold)


def fold_all(scope: OrgScope) -> None:
    """Fold until nothing waits. What fails is left to whoever folds next, since readers add up what waits."""
    try:
        while fold(scope):
            pass
    except PyMongoError as error:
        SWALLOWED.labels("folding").inc()
        log.warning("rollups.not_folded", org_id=scope.org_id, error=repr(error))


def find_rollups(scope: OrgScope, keys: Iterable[Key]) -> dict[Key, tuple[str, Rollup]]:
    """Return those rollups that are stored, each with its id."""
    clauses = [
        {"source_id": source_id, "span": span, "block": {"$in": [key.block for key in same]}}
        for (source_id, span), same in groupby(sorted(keys, key=_order), lambda key: (key.source_id, key.span))
    ]
    found = scope[ROLLUPS].find_all({"$or": clauses}) if clauses else []
    return {Key(one["source_id"], one["span"], one["block"]): (one["_id"], Rollup.restored(one)) for one in found}


def replace(scope: OrgScope, known: Iterable[str], wanted: Mapping[Key, Rollup]) -> None:
    """Store *wanted* in the place of those whose ids are *known*; call it in a transaction."""
    scope[ROLLUPS].delete_many({"_id": {"$in": list(known)}})
    kept = [
        {"_id": new_id(), **key._asdict(), **rollup.stored()}
        for key, rollup in wanted.items()
        if not rollup.is_empty
    ]
    if kept:
        scope[ROLLUPS].insert_many(kept)


def _fold(scope: OrgScope) -> int:
    deltas = _oldest(scope)
    if not deltas:
        return 0
    changes = summed(part for one in deltas for part in one["parts"])
    found = find_rollups(scope, changes)
    for key, change in changes.items():
        if key in found:
            _, rollup = found[key]
            rollup.add(change)
            changes[key] = rollup
    replace(scope, [rollup_id for rollup_id, _ in found.values()], changes)
    scope[DELTAS].delete_many({"_id": {"$in": [one["_id"] for one in deltas]}})
    return len(deltas)


def _oldest(scope: OrgScope) -> Sequence[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    weight = 0
    for one in scope[DELTAS].find(sort=[("_id", 1)], limit=FOLD_DELTAS):
        weight += one["weight"]
        if found and weight > FOLD_WEIGHT:
            break
        found.append(one)
    return found


def _order(key: Key) -> tuple[str, int]:
    return (key.source_id or "", key.span)
