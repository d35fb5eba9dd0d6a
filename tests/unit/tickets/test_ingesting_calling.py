"""What the calls of a source are counted by: its host, however that is written."""

import pytest

from workers.tickets.ingesting.calling import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.example.com/v2", "api.example.com"),
        ("https://API.example.com:443/other", "api.example.com"),
        ("https://api.example.com:8443/", "api.example.com:8443"),
        ("http://replay.example:8099/", "replay.example:8099"),
        ("https://[2606:4700:4700::1111]/", "[2606:4700:4700::1111]"),
        ("https://[2606:4700:4700:0:0:0::1111]/", "[2606:4700:4700::1111]"),
        ("https://[2606:4700:4700:0000::1111]:8443/", "[2606:4700:4700::1111]:8443"),
    ],
)
def test_a_host_is_one_however_it_is_written(url: str, host: str) -> None:
    assert host_of(url) == host
