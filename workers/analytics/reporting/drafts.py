"""Where a report is written that can't be streamed: a folder of its job's own, beside the data.

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
def draft(data_dir: Path, job_id: JobId) -> Iterator[Path]:
    """Give an empty folder to the job, and remove it afterwards; an earlier run of it may have left one."""
    drafts = data_dir / "drafts"
    drafts.mkdir(parents=True, exist_ok=True)
    for one in drafts.iterdir():
        if one.name == job_id or time.time() - one.stat().st_mtime > LEFT_FOR_S:
            shutil.rmtree(one, ignore_errors=True)
    own = drafts / job_id
    own.mkdir(mode=0o700, exist_ok=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
