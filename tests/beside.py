"""Which tests run beside one another: files on as many processes as there are, but whole stacks alone, at last.

What starts a whole stack, kills and freezes it and waits for it to go on must not share the machine with others.
"""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = ("tests/acceptance/", "tests/faults/", "tests/fuzz/")


class ByFile(LoadScopeScheduling):
    """Gives out a file at a time, and all that runs alone as one."""

    def _split_scope(self, nodeid: str) -> str:
        return "alone" if nodeid.startswith(ALONE) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Return what gives the tests out, in the order in which they were collected."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what runs alone last."""
    items.sort(key=lambda item: item.nodeid.startswith(ALONE))


@pytest.fixture(autouse=True)
def _beside_others_or_alone(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Let what runs alone wait until nobody else is at work, and others until it is done."""
    if not hasattr(request.config, "workerinput"):
        yield
        return
    shared: Path = tmp_path_factory.getbasetemp().parent
    with (shared / "at-work").open("w") as file:
        is_alone = request.node.nodeid.startswith(ALONE)
        fcntl.flock(file, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        yield
