"""Whether a walk from page to page has come back to where it was, known from two places only. Pure."""

import hashlib
from dataclasses import dataclass, replace

_DIGEST_BYTES = 12


@dataclass(frozen=True)
class Walk:
    """The places of a walk, as Brent's algorithm for cycles keeps them: one place, left behind ever further.

    However long the circle, it is noticed within three times its length, in the room of one digest.
    """

    anchor: str = ""
    steps: int = 0
    stride: int = 1

    def is_back(self, place: bytes) -> bool:
        """Tell whether *place* is where the walk has been."""
        return self.anchor == _digest(place)

    def on(self, place: bytes) -> "Walk":
        """Return the walk after a step to *place*."""
        if self.anchor and self.steps < self.stride:
            return replace(self, steps=self.steps + 1)
        return Walk(_digest(place), 1, self.stride * 2 if self.anchor else 1)


def _digest(place: bytes) -> str:
    return hashlib.blake2b(place, digest_size=_DIGEST_BYTES).hexdigest()
