"""How far an import is and what became of its rows: the checkpoint, and in the end the result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from common.ids import JobId
from common.tickets.reading.source import Form

REFUSED_KEPT_MAX = 10_000


@dataclass(frozen=True)
class Counts:
    """Rows by what became of them; *rows* is the sum of the others but *refused_kept*."""

    rows: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0
    refused: int = 0
    refused_kept: int = 0

    def __add__(self, other: Self) -> "Counts":
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class ImportState:
    """How the file is written, how many rows it has and what became of those that are done."""

    form: Form
    total: int
    counts: Counts = Counts()

    @property
    def is_read(self) -> bool:
        """Tell whether every row is done, so that the file is no longer needed."""
        return self.counts.rows == self.total

    def checkpoint(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return asdict(self)

    @classmethod
    def restored(cls, checkpoint: Mapping[str, Any]) -> Self:
        """Return the state that `checkpoint` gave."""
        return cls(Form(**checkpoint["form"]), checkpoint["total"], Counts(**checkpoint["counts"]))


@dataclass(frozen=True)
class ImportResult:
    """What an import did. At most 10,000 refused rows are kept, and *refused_kept* says how many are."""

    rows: int
    new: int
    updated: int
    unchanged: int
    repeated: int
    refused: int
    refused_kept: int
    refused_rows: str


def result(job_id: JobId, counts: Counts) -> ImportResult:
    """Return *counts* with the link to the refused rows."""
    return ImportResult(**asdict(counts), refused_rows=f"/v1/tickets/imports/{job_id}/refused-rows")
