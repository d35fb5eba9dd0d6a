"""Secrets of sources are opened for the place and the host that they were given for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from common.caller import Caller
from common.errors import Misconfigured, Unavailable
from common.services import Services
from common.sources.collections import SOURCE_SECRETS
from common.sources.source import Source


def test_a_secret_is_opened_for_its_source(services: Services, caller: Caller, source: Source) -> None:
    assert services.sources.credentials_of(caller.org_id, source) == {"token": "a-token"}
    assert services.sources.credentials(caller.org_id, source.source_id) == {"token": "a-token"}


def test_who_read_a_source_before_it_had_another_host_is_not_given_the_new_secret(
    services: Services, caller: Caller, source: Source
) -> None:
    changes = {"base_url": "https://api.github.example/repos/acme/website"}
    changed = services.sources.change(
        caller, source.source_id, changes, credentials={"token": "for the new host"}, revision=None
    )

    with pytest.raises(Unavailable):
        services.sources.credentials_of(caller.org_id, source)

    assert services.sources.credentials_of(caller.org_id, changed) == {"token": "for the new host"}


def test_another_host_written_into_the_database_is_not_shown_the_secret(
    services: Services, caller: Caller, source: Source
) -> None:
    scope = services.scope(caller.org_id)
    elsewhere = replace(source, base_url="https://evil.example")
    scope[SOURCE_SECRETS].update_one({"_id": source.source_id}, {"$set": {"origin": "https://evil.example:443"}})

    with pytest.raises(Misconfigured):
        services.sources.credentials_of(caller.org_id, elsewhere)


def test_a_secret_that_was_moved_elsewhere_is_not_opened(
    services: Services, caller: Caller, make_source: Callable[..., Source]
) -> None:
    mine, other = make_source(), make_source()
    (kept,) = services.scope(caller.org_id)[SOURCE_SECRETS].find({"_id": mine.source_id})
    services.scope(caller.org_id)[SOURCE_SECRETS].update_one(
        {"_id": other.source_id}, {"$set": {"fields": kept["fields"]}}
    )

    with pytest.raises(Misconfigured):
        services.sources.credentials_of(caller.org_id, other)
