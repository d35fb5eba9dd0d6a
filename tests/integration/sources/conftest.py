"""Sources for tests, made in the domain."""

from collections.abc import Callable
from typing import Any

import pytest

from common.caller import Caller
from common.jobs.record import JobRecord
from common.services import Services
from common.sources.draft import Draft
from common.sources.source import Source
from tests.integration.conftest import Slot

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


def end_as_a_worker_would(services: Services, record: JobRecord, error: str | None = None) -> None:
    """Let a job end as a worker would: well, or with an error."""
    slot = Slot(services)
    member = slot.take(record.queue)
    assert member is not None
    claimed = slot.claim(member)
    assert claimed is not None
    assert claimed.job_id == record.id
    if error is None:
        assert services.jobs.succeed(claimed, {})
    else:
        problem = {"code": error, "detail": "A sentence.", "attempt": 1, "at": services.clock.now()}
        assert services.jobs.fail(claimed, problem, charged=True)
