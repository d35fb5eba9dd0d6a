"""What an organization has nearly used up: from 80 % of a limit on it is warned."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WARNS_AT = 0.8
Limited = Literal["requests_an_hour", "jobs_waiting", "storage_bytes"]


@dataclass(frozen=True)
class Near:
    """How much is used of a limit."""

    figure: Limited
    used: int
    limit: int

    @property
    def share(self) -> float:
        """Return how much of it is used, of which 1 is all."""
        return self.used / max(1, self.limit)

    @property
    def warns(self) -> bool:
        """Tell whether there is little left."""
        return self.share >= WARNS_AT

    def shown(self) -> dict[str, object]:
        """Return it as the API shows it."""
        return {"figure": self.figure, "used": self.used, "limit": self.limit, "share": round(self.share, 4)}


def warned(found: Iterable[Near]) -> list[Near]:
    """Return those of which there is little left."""
    return [one for one in found if one.warns]
