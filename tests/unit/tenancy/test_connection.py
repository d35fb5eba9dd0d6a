"""The answers to `hello` that a server is judged by."""

from typing import Any

import pytest

from common.errors import Misconfigured
from common.tenancy.connection import check_greeting

GOOD = {"setName": "fairway", "isWritablePrimary": True, "maxWireVersion": 17}
ROUTER = {"msg": "isdbgrid", "isWritablePrimary": True, "maxWireVersion": 25}


@pytest.mark.parametrize("hello", [GOOD, ROUTER])
def test_a_primary_of_a_replica_set_and_a_router_are_accepted(hello: dict[str, Any]) -> None:
    check_greeting(hello)


@pytest.mark.parametrize(
    ("hello", "sentence"),
    [
        ({"isWritablePrimary": True, "maxWireVersion": 17}, "no replica set"),
        ({**GOOD, "isWritablePrimary": False}, "no primary"),
        ({**GOOD, "maxWireVersion": 16}, "too old"),
        ({}, "too old"),
    ],
)
def test_a_server_that_could_lose_what_it_acknowledged_is_refused(hello: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        check_greeting(hello)
