"""The setting that lets tenants' sources call a host of the inside."""

import pytest

from common.config import Settings, load
from common.errors import Misconfigured
from common.outbound.allowed_host import AllowedHost


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("127.0.0.1:8099", AllowedHost("127.0.0.1", 8099)),
        ("[0:0::1]:8099", AllowedHost("::1", 8099)),
        ("Replay:80", AllowedHost("replay", 80)),
        ("replay_1.inside.example:65535", AllowedHost("replay_1.inside.example", 65535)),
    ],
)
def test_a_host_is_named_with_its_port(text: str, host: AllowedHost) -> None:
    assert AllowedHost.parse(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "replay",
        "replay:",
        ":80",
        "replay:0",
        "replay:65536",
        "replay:http",
        "http://replay:80",
        "replay:80/",
        "*:80",
        "*.example:80",
        "10.0.0.0/8:80",
        "127.1:80",
        "::1:80",
        "[::1]",
        "user@replay:80",
        "re play:80",
    ],
)
def test_a_host_that_is_named_otherwise_stops_the_start_and_is_shown(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("FAIRWAY_INGEST_ALLOWED_HOSTS", f"127.0.0.1:8099,{text or '-'}")

    with pytest.raises(Misconfigured, match="INGEST_ALLOWED_HOSTS") as refused:
        load()

    assert (text or "-") in refused.value.detail


def test_without_the_setting_nothing_is_allowed() -> None:
    assert Settings().ingest_allowed_hosts == ()


def test_several_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRWAY_INGEST_ALLOWED_HOSTS", "127.0.0.1:8099, replay:80 ,")

    assert load().ingest_allowed_hosts == ("127.0.0.1:8099", "replay:80")
