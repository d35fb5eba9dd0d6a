"""`python -m web.operate`: the operators' views and resets from the command line, on the servers themselves.

It needs the settings of a process of the platform, not the API: it works while that is down.
"""

import getpass
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from common import logs, operations
from common.audit import Actor
from common.config import current
from common.coordination.names import escaped
from common.errors import FairwayError
from common.services import Services

LIMIT_MAX = 1_000
_NOTHING = 3


@click.group(help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def cli(context: click.Context, *, as_json: bool) -> None:
    """Make the services that the commands work with."""
    logs.configure(process="operate", as_json=False, level="ERROR")
    services = context.with_resource(_Opened())
    context.obj = (services, as_json)


class _Opened:
    """The services, for as long as a command runs."""

    def __enter__(self) -> Services:
        self._services = Services(current(), process="operate")
        return self._services

    def __exit__(self, *_: object) -> None:
        self._services.close()


_limit = click.option("--limit", default=100, show_default=True, type=click.IntRange(1, LIMIT_MAX))
_after = click.option("--after", default="", help="Go on after this key.")


@cli.command()
@_limit
@_after
@click.pass_obj
def locks(made: tuple[Services, bool], limit: int, after: str) -> None:
    """List the locks that are held."""
    _show(made, operations.locks(made[0], after=after, limit=limit))


@cli.command("rate-limits")
@click.option("--saturated", is_flag=True, help="Only those that hold somebody up.")
@_limit
@_after
@click.pass_obj
def rate_limits(made: tuple[Services, bool], limit: int, after: str, *, saturated: bool) -> None:
    """List how every limit stands, and every penalty."""
    _show(made, operations.rate_limits(made[0], after=after, limit=limit, only_saturated=saturated))


@cli.command("circuit-breakers")
@_limit
@_after
@click.pass_obj
def circuit_breakers(made: tuple[Services, bool], limit: int, after: str) -> None:
    """List the circuit breakers that have a past."""
    _show(made, operations.circuit_breakers(made[0], after=after, limit=limit))


@cli.command("audit-log")
@_limit
@click.option("--before", default=None, help="Only entries before the one of this id.")
@click.pass_obj
def audit_log(made: tuple[Services, bool], limit: int, before: str | None) -> None:
    """List what operators changed, newest first."""
    _show(made, operations.audit_log(made[0], before=before, limit=limit))


@cli.command("reset-lock")
@click.argument("name")
@click.pass_obj
def reset_lock(made: tuple[Services, bool], name: str) -> None:
    """Free the lock NAME, whoever holds it."""
    _show(made, [operations.reset_lock(made[0], _actor(), escaped(name))])


@cli.command("reset-rate-limit")
@click.argument("key")
@click.pass_obj
def reset_rate_limit(made: tuple[Services, bool], key: str) -> None:
    """Forget what was used of the limit KEY, or lift the penalty KEY."""
    _show(made, [operations.reset_rate_limit(made[0], _actor(), key)])


@cli.command("reset-circuit-breaker")
@click.argument("key")
@click.pass_obj
def reset_circuit_breaker(made: tuple[Services, bool], key: str) -> None:
    """Close the circuit breaker KEY and forget its last calls."""
    _show(made, [operations.reset_circuit_breaker(made[0], _actor(), key)])


def _show(made: tuple[Services, bool], rows: Sequence[Any]) -> None:
    if made[1]:
        sys.stdout.write(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    if not rows:
        click.echo("Nothing.")
        return
    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row.values()))
    # A line of a table is for people and for grep: never broken where it leaves the terminal.
    Console(soft_wrap=True, width=None if sys.stdout.isatty() else 1_000).print(table, markup=False)


def _actor() -> Actor:
    return Actor(name=getpass.getuser(), via="command line")


def main() -> None:
    """Run; exit 3 for what is not there, 1 for what can't be done."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except FairwayError as error:
        click.echo(error.detail, err=True)
        sys.exit(_NOTHING if error.code == "not-found" else 1)


if __name__ == "__main__":
    main()
