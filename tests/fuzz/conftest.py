"""The whole stack for the fuzzer, and a token for each role."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.config import Settings
from common.ids import PLATFORM
from common.organizations import tokens
from common.services import Services
from deploy.local.servers import free_port
from deploy.local.stack import Stack
from tests.integration.conftest import make_organization, token_of

LASTS_S = 4 * 3600


@dataclass(frozen=True)
class Target:
    """Where the API listens, and who may ask it: a token by role, none for nobody."""

    url: str
    tokens: dict[str, str | None]


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """Run everything without limits, with streams that end soon."""
    with tempfile.TemporaryDirectory(prefix="fairway-fuzz-") as folder:
        settings = Settings(
            data_dir=Path(folder) / "data",
            http_port=free_port(),
            flower_port=free_port(),
            metrics_port=free_port(),
            rate_limits="off",
            stream_s=0.5,
            log_level="WARNING",
        )
        lines: list[str] = []
        stack = Stack(settings, lambda name, line: lines.append(f"{name} {line}"))
        stack.start()
        try:
            stack.wait_ready()
            yield Target(stack.url, _tokens(stack.settings))
        finally:
            stack.stop()
        failed = [line for line in lines if "request.failed" in line]
        assert failed == [], failed[:3]


def _tokens(settings: Settings) -> dict[str, str | None]:
    services = Services(settings)
    org_id = make_organization(services, "Fuzzed")
    usual, tokens.ACCESS_S = tokens.ACCESS_S, LASTS_S
    try:
        found: dict[str, str | None] = {"nobody": None}
        for role in ("member", "admin"):
            found[role] = token_of(services, org_id, role)
        found["operator"] = token_of(services, PLATFORM, "operator")
    finally:
        tokens.ACCESS_S = usual
        services.close()
    return found
