"""Sources for tests, made in the domain."""

from collections.abc import Callable
from typing import Any

import pytest

from common.caller import Caller
from common.services import Services
from common.sources.draft import Draft
from common.sources.source import Source

BASE_URL = "https://api.github.com/repos/acme/website"


@pytest.fixture
def make_source(services: Services, caller: Caller) -> Callable[..., Source]:
    """Return a function that makes a source of the organization; the options are those of a `Draft`."""

    def make(**fields: Any) -> Source:
        asked = {"name": "A source", "connector": "github_issues", "base_url": BASE_URL, **fields}
        return services.sources.create(caller, Draft(**asked), {"token": "a-token"})

    return make


@pytest.fixture
def source(make_source: Callable[..., Source]) -> Source:
    """Return a source."""
    return make_source()
