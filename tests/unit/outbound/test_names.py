"""From a name to its addresses, within a time."""

import socket
import threading
from typing import Any

import pytest

from common.errors import AddressRefused, HostIll
from common.outbound.addresses import Addresses
from common.outbound.names import look_up
from common.outbound.url import Url


def test_the_systems_resolver_is_asked() -> None:
    assert set(look_up("localhost", 10)) <= {"127.0.0.1", "::1"}


def test_a_name_that_the_system_knows_for_its_own_is_refused() -> None:
    with pytest.raises(AddressRefused, match="not on the public network"):
        Addresses().resolve(Url("https", "localhost", 443, "/"))


def test_a_name_that_leads_nowhere_makes_its_host_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    def knows_nothing(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", knows_nothing)

    with pytest.raises(HostIll, match=r"nowhere\.example"):
        look_up("nowhere.example", 30)


def test_a_resolver_that_is_too_slow_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go, has_gone = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        may_go.wait(30)
        has_gone.set()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    with pytest.raises(HostIll, match="in time"):
        look_up("slow.example", 0.05)

    may_go.set()
    assert has_gone.wait(30)
