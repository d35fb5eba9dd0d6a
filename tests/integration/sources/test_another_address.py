"""A source that was given another address is not asked at the old one, and its new secret does not go there."""

from collections.abc import Iterator

import pytest

from common.caller import Caller
from common.config import Settings
from common.services import Services
from common.sources.draft import Draft
from tests.integration.conftest import Slot
from tests.source_server import REST, Answer, Call
from tests.source_server import Source as Server
from workers import runner

BY_TOKEN = REST | {"auth": {"style": "bearer"}}


@pytest.fixture
def two() -> Iterator[tuple[Server, Server]]:
    """Return two sources that are being served."""
    with Server(records=30).serving() as one, Server(records=5).serving() as other:
        yield one, other


@pytest.fixture
def services(settings: Settings, two: tuple[Server, Server]) -> Iterator[Services]:
    """Return the services of a process that may call both."""
    runner.discover()
    hosts = tuple(one.host for one in two)
    changes = {"ingest_allowed_hosts": hosts, "ingest_requests_per_minute": 100_000}
    made = Services(settings.model_copy(update=changes))
    made.prepare()
    yield made
    made.close()


def test_a_retried_run_takes_no_new_secret_to_the_old_host(
    services: Services, caller: Caller, slot: Slot, two: tuple[Server, Server]
) -> None:
    old, new = two
    draft = Draft(name="Moved", connector="rest", base_url=old.url, page_size=10, config=BY_TOKEN)
    source = services.sources.create(caller, draft, {"token": "the-old-secret"})
    old.interfere = lambda _call, number: Answer(status=403) if number > 1 else None
    services.runs.start(caller, source.source_id, "full")
    failed = slot.step("ingestion")
    assert failed is not None
    assert failed.error is not None
    assert failed.error["code"] == "credentials-refused"
    asked_before = len(old.calls)

    services.sources.change(
        caller, source.source_id, {"base_url": new.url}, credentials={"token": "the-new-secret"}, revision=None
    )
    services.submitter.retry(caller.org_id, failed.id)
    retried = slot.step("ingestion")

    assert len(old.calls) == asked_before
    assert not any("the-new-secret" in str(call.headers) for call in old.calls)
    assert not any("the-old-secret" in str(call.headers) for call in new.calls)
    assert retried is not None
    assert retried.state == "succeeded"
    assert retried.result["read"] == 5
    assert all(bearer(call) == "Bearer the-new-secret" for call in new.calls)


def bearer(call: Call) -> str | None:
    """Return what a call showed."""
    return call.header("Authorization")
