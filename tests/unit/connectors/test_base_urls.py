"""Where the API of a connector can be: one that was copied from a browser is refused with what it should be."""

import pytest

from common.connectors.known import CONNECTORS

GOOD = {
    "github_issues": (
        "https://api.github.com/repos/acme/website",
        "https://api.github.com/repos/acme/web.site-2_x/",
        "https://forge.example/api/v3/repos/acme/website",
    ),
    "zendesk": ("https://acme.zendesk.com", "https://acme.zendesk.com/"),
    "intercom": ("https://api.eu.intercom.io", "https://api.intercom.io/"),
    "rest": ("https://tickets.example", "https://tickets.example/api/v2"),
}
BAD = {
    "github_issues": (
        "https://github.com/acme/website",
        "https://api.github.com/acme/website",
        "https://api.github.com",
        "https://api.github.com/repos/acme",
        "https://api.github.com/repos//website",
        "https://api.github.com/repos/acme/website/issues",
        "https://api.github.com/myrepos/acme/website",
    ),
    "zendesk": ("https://acme.zendesk.com/agent/dashboard", "https://acme.zendesk.com/api/v2"),
    "intercom": ("https://api.intercom.io/conversations", "https://api.intercom.io//"),
}


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in GOOD.items() for url in urls])
def test_an_address_that_the_connector_can_ask_is_taken(name: str, url: str) -> None:
    assert CONNECTORS[name].check_base_url(url) is None


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in BAD.items() for url in urls])
def test_any_other_is_refused_with_what_it_should_be(name: str, url: str) -> None:
    sentence = CONNECTORS[name].check_base_url(url)

    assert sentence is not None
    assert sentence.startswith("Must ")
    assert "https://" in sentence
    assert sentence.endswith(".")
