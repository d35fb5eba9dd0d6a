"""Connectors under a clock that stands still."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from common.connectors.connector import Connector, Endpoint
from common.connectors.known import CONNECTORS

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Make = Callable[..., Connector]


class Stopped:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def make() -> Make:
    """Return what makes a connector by its name."""

    def _make(
        name: str,
        base_url: str = "https://api.example",
        page_size: int = 100,
        config: dict[str, Any] | None = None,
    ) -> Connector:
        return CONNECTORS[name](Endpoint(base_url, page_size, config or {}), clock=Stopped())

    return _make
