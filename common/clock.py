"""The only clock: everything that asks the time asks here, so that a test can hold it still."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tell the time of day and measure durations."""

    def now(self) -> datetime:
        """Return the instant, aware, in UTC, cut to the millisecond that MongoDB keeps."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, comparable between the processes of one machine."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the instant, aware, in UTC, cut to the millisecond that MongoDB keeps."""
        instant = datetime.now(UTC)
        return instant.replace(microsecond=instant.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Return seconds that never run backwards, comparable between the processes of one machine."""
        return time.monotonic()


def rfc3339(instant: datetime) -> str:
    """Write *instant* as the API does: UTC, milliseconds, a closing Z."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
