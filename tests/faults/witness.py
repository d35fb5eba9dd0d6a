"""The witness: an append-only file outside the system under test, in which handlers say what they did and when."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """What a handler did: *at* is on the machine's monotonic clock, which all its processes share."""

    at: float
    job_id: str
    claim: int
    what: str


class Witness:
    """The file, for reading. Lines of a process that died in the middle of nothing are whole: O_APPEND."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> Iterator[Line]:
        """Read all of it."""
        for line in self.path.read_text(encoding="utf-8").splitlines():
            at, job_id, claim, what = line.split(" ", 3)
            yield Line(float(at), job_id, int(claim), what)

    def count(self, what: str) -> int:
        """Count the lines that say *what*."""
        return sum(line.what == what for line in self.lines())
