"""Hosts of the outside on loopback, and a fetcher that is allowed to call them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from common.outbound.addresses import Addresses
from common.outbound.allowed_host import AllowedHost
from common.outbound.fetcher import Fetcher, FetchLimits
from tests.integration.outbound.certificates import Authority
from tests.integration.outbound.host import Host, hosting


class Resolver:
    """Answers each name with what is next in its list, the last one for ever, and notes what it was asked."""

    def __init__(self) -> None:
        self.known: dict[str, list[Sequence[str]]] = {}
        self.asked: list[str] = []

    def __call__(self, host: str, within_s: float) -> Sequence[str]:
        assert within_s > 0
        self.asked.append(host)
        answers = self.known[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a host that speaks in clear."""
    with hosting() as host:
        yield host


@pytest.fixture
def other() -> Iterator[Host]:
    """Return another one."""
    with hosting() as host:
        yield host


@pytest.fixture
def resolver() -> Resolver:
    """Return the name server of a fetcher."""
    return Resolver()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that nobody believes but who is told to."""
    return Authority(tmp_path)


def fetcher_for(*hosts: Host, **limits: float) -> Fetcher:
    """Return a fetcher that may call *hosts* at 127.0.0.1 and by the name `localhost`."""
    allowed = [AllowedHost(name, host.port) for host in hosts for name in ("127.0.0.1", "localhost", "::1")]
    return Fetcher(Addresses(allowed), FetchLimits(**limits))


@pytest.fixture
def fetcher(host: Host, other: Host) -> Iterator[Fetcher]:
    """Return a fetcher with the usual limits that may call `host` and `other`."""
    fetcher = fetcher_for(host, other)
    yield fetcher
    fetcher.close()
