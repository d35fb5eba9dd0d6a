"""Where an ingestion stands: all of its checkpoint, and the rules by which it goes from page to page. Pure.

reading ──last page──▶ (something moved? reading again) ──▶ clearing, of a full run ──▶ ending ──▶ ended
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from workers.tickets.ingesting.repeats import Walk
from workers.tickets.ingesting.shape import FieldShape, Shape

PASSES_MAX = 3
"""How often the pages are read of a source whose records move between them while they are read."""

Stage = Literal["reading", "clearing", "ending", "ended"]


@dataclass(frozen=True)
class Tally:
    """Records by what became of them; *read* is the sum of those that were read, *deleted* are tickets."""

    read: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    returned: int = 0
    repeated: int = 0
    errors: int = 0
    deleted: int = 0

    def __add__(self, other: Self) -> "Tally":
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True)
class Pass:
    """One walk over all pages; *began_at* is by the source's clock where it shows one.

    *records* counts all that stood on them, *nameless* those that did not say which they are, *others* those that
    are no tickets; *total* is the most that the source said there are.
    """

    number: int = 1
    pages: int = 0
    empty: int = 0
    began_at: str | None = None
    total: int | None = None
    records: int = 0
    nameless: int = 0
    others: int = 0
    has_moved: bool = False
    places: Walk = field(default_factory=Walk)
    contents: Walk = field(default_factory=Walk)


@dataclass(frozen=True)
class State:
    """An ingestion between two pages. Instants are RFC 3339 texts, so that it is plain JSON.

    *generation* is the source's: what was read of another one says nothing of this. *page_size* is what the run
    began with: by it the number of records on a page tells whether it is the last.
    """

    started_at: str
    since: str | None
    url: str | None
    generation: int = 0
    page_size: int = 1
    stage: Stage = "reading"
    run: int = 1
    pages: int = 0
    waits: int = 0
    tally: Tally = field(default_factory=Tally)
    now_on: Pass = field(default_factory=Pass)
    failures: int = 0
    newest: str | None = None
    refused_kept: int = 0
    cleared_to: str = ""
    kept_because: str | None = None
    shape_changes: Sequence[Mapping[str, Any]] = ()
    shape: Shape = field(default_factory=dict)

    def checkpoint(self) -> dict[str, Any]:
        """Return the state as plain values; names that a source has given are no names of fields in it."""
        shape = [[name, one["types"], one["always"]] for name, one in self.shape.items()]
        return {**asdict(self), "shape": shape}

    @classmethod
    def restored(cls, checkpoint: Mapping[str, Any]) -> Self:
        """Return the state that `checkpoint` gave."""
        now_on = checkpoint["now_on"]
        walks = {name: Walk(**now_on[name]) for name in ("places", "contents")}
        parts = {
            "tally": Tally(**checkpoint["tally"]),
            "now_on": Pass(**{**now_on, **walks}),
            "shape": {name: FieldShape(types=types, always=always) for name, types, always in checkpoint["shape"]},
        }
        return cls(**{**checkpoint, **parts})

    def tried_anew(self, run: int) -> "State":
        """Return the state for the run of that number: an explicit retry forgets what ended the run before."""
        if run == self.run:
            return self
        now_on = replace(self.now_on, empty=0, places=Walk(), contents=Walk())
        return replace(self, run=run, failures=0, now_on=now_on)

    @property
    def read_again(self) -> "State":
        """Return the state at the beginning of another walk over the same pages."""
        return replace(self, url=None, stage="reading", now_on=Pass(self.now_on.number + 1))

    @property
    def may_have_missed(self) -> bool:
        """Tell whether a record may have moved from a page that was to come to one that was read already."""
        return self.now_on.has_moved and self.now_on.pages > 1 and self.now_on.number < PASSES_MAX
