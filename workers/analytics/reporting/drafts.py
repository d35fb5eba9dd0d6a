"""Where a report is written that can't be streamed: a folder of its run's own, beside the data.

Temporary files lie in memory in many a container, and a sheet of a million rows has half a gigabyte.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.ids import JobId

LEFT_FOR_S = 24 * 3600
"""No run takes as long: what is older was left by one that was killed and never came again."""


@contextmanager
def draft(data_dir: Path, job_id: JobId, claim: int) -> Iterator[Path]:
    """Give an empty folder to a run of the job and remove it afterwards, with those of its earlier runs."""
    drafts = data_dir / "drafts"
    drafts.mkdir(parents=True, exist_ok=True)
    for one in drafts.iterdir():
        if one.name.startswith(job_id) or _is_old(one):
            shutil.rmtree(one, ignore_errors=True)
    own = drafts / f"{job_id}.{claim}"
    own.mkdir(mode=0o700, exist_ok=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > LEFT_FOR_S
    except FileNotFoundError:  # another run has just removed it
        return False
