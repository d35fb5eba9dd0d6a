"""A fleet for every test that asks, and the table of what was done to it."""

from collections.abc import Iterator

import pytest

from tests.faults.fleet import LEASE_S, ROWS, SWEEP_S, Fleet


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Run two workers with two slots each and two sweepers, with short leases."""
    made = Fleet()
    try:
        yield made.start()
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what each fault did; recovery in units of lease + sweep."""
    if not ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(
        f"{'fault':<64} {'jobs':>5} {'ended':>12} {'lost':>5} {'twice':>5} {'recovery':>9}"
    )
    for row in ROWS:
        ended = "/".join(map(str, row.ended))
        units = "-" if row.recovery_s is None else f"{row.recovery_s / (LEASE_S + SWEEP_S):.1f}"
        terminalreporter.write_line(
            f"{row.fault:<64} {row.jobs:>5} {ended:>12} {row.lost:>5} {row.twice:>5} {units:>9}"
        )
    terminalreporter.write_line("ended: succeeded/failed/cancelled")
    terminalreporter.write_line(f"recovery: of the slowest job that was hit, in units of {LEASE_S + SWEEP_S:g} s")
