"""Pages of other origins: those that the settings name, and nobody else."""

from collections.abc import Callable

import pytest

from common.config import Settings
from common.ids import OrgId
from common.services import Services
from tests.integration.web.conftest import Member
from web.app import create_app


@pytest.fixture
def crossing(settings: Settings, org_id: OrgId, member_of: Callable[[OrgId], Member]) -> Member:
    """Return an admin of an API that pages of one origin may call."""
    open_to = settings.model_copy(update={"cors_origins": ("https://app.example",)})
    return Member(create_app(Services(open_to)).test_client(), org_id, member_of(org_id).token)


def test_a_page_of_a_named_origin_may_ask_and_see_what_it_needs(crossing: Member) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    asked = {**preflight, "Access-Control-Request-Headers": "authorization,idempotency-key,content-type"}

    allowed = crossing.http.options("/v1/kinds/jobs.rehearse/jobs", headers=asked)
    answer = crossing("GET", "/v1/jobs", headers={"Origin": "https://app.example"})

    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Idempotency-Key".lower() in allowed.headers["Access-Control-Allow-Headers"].lower()
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Origin" in answer.headers["Vary"]
    for name in ("Location", "Retry-After", "RateLimit", "ETag", "Link", "X-Request-ID"):
        assert name in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    ["null", "https://app.example.evil.com", "https://evil.com", "http://app.example", "https://appxexample", "*"],
)
def test_a_page_of_another_origin_may_not(crossing: Member, admin: Member, origin: str) -> None:
    for who in (crossing, admin):
        answer = who("GET", "/v1/jobs", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "app.example", "https://*.example", "https://app.example/", "javascript:x"]
)
def test_an_origin_in_the_settings_is_one(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    from common.config import load
    from common.errors import Misconfigured

    monkeypatch.setenv("FAIRWAY_CORS_ORIGINS", origin)

    with pytest.raises(Misconfigured, match="CORS_ORIGINS"):
        load()
