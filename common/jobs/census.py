"""How many jobs of each kind are in each state: counted along the sweep's walk, told when it is whole."""

from collections import Counter
from collections.abc import Iterable

from common.metrics import JOBS


class Census:
    """Counts pages of jobs, state by state."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._told: set[tuple[str, str]] = set()

    def count(self, state: str, kinds: Iterable[str], *, is_whole: bool) -> None:
        """Count a page of jobs in *state*; with the last page, tell the figures and begin again."""
        counts = self._counts.setdefault(state, Counter())
        counts.update(kinds)
        if is_whole:
            gone = {(kind, of) for kind, of in self._told if of == state and kind not in counts}
            for kind, count in [*counts.items(), *((kind, 0) for kind, _ in gone)]:
                JOBS.labels(kind, state).set(count)
                self._told.add((kind, state))
            counts.clear()
