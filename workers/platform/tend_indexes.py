"""Walks over all collections, one after the other, and goes on where it was cut off."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import AutoReconnect

from common.errors import Defer
from common.platform.tend_indexes import TendIndexes
from common.tenancy.indexes import Difference
from workers.context import Context
from workers.runner import handles

TOLD_MOST = 200
LOOK_AGAIN_S = 5.0


@dataclass(frozen=True)
class Tended:
    """What was looked at, and what was not as declared: counted, and the first two hundred by name."""

    looked_at: int
    counts: Mapping[str, int]
    differences: Sequence[Mapping[str, Any]]


@dataclass
class _Walk:
    place: str = ""
    looked_at: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    told: list[dict[str, Any]] = field(default_factory=list)

    def note(self, found: Sequence[Difference]) -> None:
        self.counts.update(one.what for one in found)
        self.told += [one.shown() for one in found][: TOLD_MOST - len(self.told)]

    def checkpoint(self) -> dict[str, Any]:
        counts = dict(self.counts)
        return {"place": self.place, "looked_at": self.looked_at, "counts": counts, "told": self.told}


@handles(TendIndexes)
def tend_indexes(ctx: Context, job: TendIndexes) -> Tended:
    """Compare each collection with its declaration; with `apply` bring it up to date, whatever that takes."""
    indexes, walk = ctx.services.indexes, _restored(ctx.resume())
    total = max(indexes.count(), walk.looked_at)
    for target in indexes.targets(walk.place):
        found = indexes.compare(target)
        if job.mode == "apply" and any(one.what != "index_unknown" for one in found):
            try:
                indexes.bring_up_to_date(target)
            except AutoReconnect as error:  # the server builds on: look again
                raise Defer(LOOK_AGAIN_S, "index_builds") from error
            if any(one.what == "index_building" for one in indexes.compare(target)):
                raise Defer(LOOK_AGAIN_S, "index_builds")
        walk.note(found)
        walk.place, walk.looked_at = target.place, walk.looked_at + 1
        ctx.checkpoint(walk.checkpoint(), walk.looked_at, max(total, walk.looked_at), job.mode)
    if job.mode == "verify":
        walk.note(list(indexes.astray()))
    return Tended(walk.looked_at, dict(walk.counts), walk.told)


def _restored(checkpoint: Mapping[str, Any] | None) -> _Walk:
    if checkpoint is None:
        return _Walk()
    return _Walk(
        checkpoint["place"], checkpoint["looked_at"], Counter(checkpoint["counts"]), list(checkpoint["told"])
    )
