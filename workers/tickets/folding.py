"""Who changes many tickets folds what that leaves for readers to add up: now and then, and at the end."""

from types import TracebackType
from typing import Self

from common.tickets.counting.folding import fold_all
from common.tickets.writing import Plan
from workers.context import Context

FOLDED_EVERY = 5_000
"""How many changes of tickets a job lets wait; readers add up what all jobs of the organization let wait."""


class Folding:
    """Use it around the writes of a job. A fold is right whoever makes it, so it needs neither lease nor fence."""

    def __init__(self, ctx: Context) -> None:
        self._scope = ctx.services.scope(ctx.org_id)
        self._waiting = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting and isinstance(error, Exception | None):
            fold_all(self._scope)

    def after(self, *written: Plan) -> None:
        """Take note of what was *written*, and committed."""
        self._waiting += sum(one.delta["weight"] for one in written if one.delta is not None)
        if self._waiting >= FOLDED_EVERY:
            self._waiting = 0
            fold_all(self._scope)
