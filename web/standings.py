"""Why queued jobs do not run yet, asked of the lanes; without Redis a job only says that it waits."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from common.errors import Unavailable
from common.ids import JobId
from common.jobs.lanes import Lanes, Standing
from common.jobs.record import JobRecord
from common.metrics import SWALLOWED
from web.job_document import dump


def show(lanes: Lanes, record: JobRecord) -> dict[str, Any]:
    """Return *record* as the API shows a job, with its place in line."""
    return show_all(lanes, [record])[0]


def show_all(lanes: Lanes, records: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """Return *records* as the API shows jobs, each with its place in line."""
    known = standings(lanes, (record for record in records if record.state == "queued"))
    return [dump(record, known.get(record.id)) for record in records]


def standings(lanes: Lanes, queued: Iterable[JobRecord]) -> dict[JobId, Standing]:
    """Return where each of these stands; those that Redis can't tell of are left out."""
    by_queue: dict[str, list[JobRecord]] = defaultdict(list)
    for record in queued:
        by_queue[record.queue].append(record)
    found: dict[JobId, Standing] = {}
    for queue, records in by_queue.items():
        try:
            answers = lanes.standings(queue, [record.entry.member for record in records])
        except Unavailable:
            SWALLOWED.labels("standings").inc()
            continue
        found |= {record.id: answer for record, answer in zip(records, answers, strict=True)}
    return found
