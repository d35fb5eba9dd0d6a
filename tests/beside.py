"""Which tests run beside one another: files on as many processes as there are, but what kills runs alone, at last.

A process that kills, freezes and measures others must not share the machine with anybody else's load.
"""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

FAULTS = "tests/faults/"


class ByFile(LoadScopeScheduling):
    """Gives out a file at a time, and all faults together as one."""

    def _split_scope(self, nodeid: str) -> str:
        return FAULTS if nodeid.startswith(FAULTS) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Return what gives the tests out, in the order in which they were collected."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the faults last."""
    items.sort(key=lambda item: item.nodeid.startswith(FAULTS))


@pytest.fixture(autouse=True)
def _beside_others_or_alone(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Let faults wait until nobody else is at work, and others until no fault is."""
    if not hasattr(request.config, "workerinput"):
        yield
        return
    shared: Path = tmp_path_factory.getbasetemp().parent
    with (shared / "at-work").open("w") as file:
        is_fault = request.node.nodeid.startswith(FAULTS)
        fcntl.flock(file, fcntl.LOCK_EX if is_fault else fcntl.LOCK_SH)
        yield
