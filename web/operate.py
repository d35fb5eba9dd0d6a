"""`python -m web.operate`: the operators' views and resets from the command line, on the servers themselves.

It needs the settings of a process of the platform, not the API: it works while that is down.
"""

import getpass
import sys
import time
from collections.abc import Sequence
from typing import Any, cast, get_args

import click
import orjson
from rich.console import Console
from rich.table import Table

from common import fleet, logs, operations
from common.audit import Actor
from common.clock import rfc3339
from common.config import current
from common.coordination.names import escaped
from common.errors import FairwayError
from common.ids import PLATFORM, OrgId
from common.jobs.cancel_many import CancelMany
from common.jobs.record import STATES, JobRecord
from common.jobs.retry_many import RetryMany
from common.jobs.selection import Selection
from common.jobs.steering import What
from common.organizations.signing_keys import SigningKey
from common.services import Services
from common.tenancy.capacity import shown
from common.tenancy.tiers import Tier

LIMIT_MAX = 1_000
LOOK_AGAIN_S = 0.3
_PAUSABLE = get_args(What)
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


@cli.command()
@click.pass_obj
def queues(made: tuple[Services, bool]) -> None:
    """Show every queue: what waits, runs and is due, its slots, and who is in line."""
    _show(made, fleet.queues(made[0]))


@cli.command()
@click.argument("queue")
@click.option("--over", is_flag=True, help="Those at their caps instead of those who are ready.")
@_limit
@click.option("--offset", default=0, type=click.IntRange(0))
@click.pass_obj
def line(made: tuple[Services, bool], queue: str, limit: int, offset: int, *, over: bool) -> None:
    """List the organizations in line for QUEUE, the next to be served first."""
    _show(made, fleet.line(made[0], queue, "over" if over else "ready", offset=offset, limit=limit))


@cli.command()
@click.pass_obj
def workers(made: tuple[Services, bool]) -> None:
    """Show every worker that is alive, and the jobs that it runs."""
    _show(made, fleet.workers(made[0]))


@cli.command()
@click.option("--org", default=None, help="Only this organization's, by its id.")
@click.option("--kind", default=None)
@click.option("--state", default=None, type=click.Choice(STATES))
@click.option("--before", default=None, help="Only jobs older than the one of this id.")
@_limit
@click.pass_obj
def jobs(made: tuple[Services, bool], /, limit: int, before: str | None, **which: str | None) -> None:
    """List jobs of all organizations, newest first."""
    selection = _selection(which["org"], which["kind"], which["state"])
    _show(made, [_job(one) for one in fleet.jobs(made[0], selection, before=before, limit=limit)])


@cli.command()
@click.argument("job_id")
@click.pass_obj
def retry(made: tuple[Services, bool], job_id: str) -> None:
    """Start a fresh run of the failed or cancelled job JOB_ID, whosever it is."""
    _show(made, [_job(fleet.retry(made[0], _actor(), job_id))])


@cli.command()
@click.argument("job_id")
@click.pass_obj
def cancel(made: tuple[Services, bool], job_id: str) -> None:
    """Cancel the job JOB_ID, or ask it to stop, whosever it is."""
    _show(made, [_job(fleet.cancel(made[0], _actor(), job_id))])


@cli.command("change-many")
@click.argument("change", type=click.Choice(["retry", "cancel"]))
@click.option("--org", default=None, help="Only this organization's, by its id; else everybody's.")
@click.option("--kind", default=None)
@click.option("--state", default=None, type=click.Choice(STATES))
@click.option("--really", is_flag=True, help="Do it; without this they are only counted.")
@click.pass_obj
def change_many(made: tuple[Services, bool], /, change: str, *, really: bool, **which: str | None) -> None:
    """Retry or cancel jobs by filter: counted first, then done as a job of the platform's own."""
    asked = (RetryMany if change == "retry" else CancelMany)(
        kind=which["kind"], state=cast("Any", which["state"]), of_org=which["org"]
    )
    shown = fleet.accept_many(made[0], _actor(), asked) if really else fleet.count_many(made[0], asked)
    _show(made, [shown])


@cli.command()
@click.pass_obj
def pauses(made: tuple[Services, bool]) -> None:
    """List what is paused: since when, and by whom."""
    _show(made, fleet.pauses(made[0]))


@cli.command()
@click.argument("what", type=click.Choice(_PAUSABLE))
@click.argument("name")
@click.pass_obj
def pause(made: tuple[Services, bool], what: What, name: str) -> None:
    """Begin no more of a queue's, a kind's or an organization's jobs; what runs goes on."""
    _show(made, [fleet.pause(made[0], _actor(), what, name)])


@cli.command()
@click.argument("what", type=click.Choice(_PAUSABLE))
@click.argument("name")
@click.pass_obj
def resume(made: tuple[Services, bool], what: What, name: str) -> None:
    """Let the jobs of a queue, a kind or an organization go on."""
    _show(made, [fleet.resume(made[0], _actor(), what, name)])


@cli.command()
@click.argument("words", default="")
@_limit
@_after
@click.pass_obj
def organizations(made: tuple[Services, bool], words: str, limit: int, after: str) -> None:
    """List organizations whose name or slug contains WORDS."""
    found = fleet.organizations(made[0], words, after=after, limit=limit)
    _show(made, [fleet.organization(made[0], one) for one in found])


@cli.command("set-tier")
@click.argument("org_id")
@click.argument("tier", type=click.Choice(get_args(Tier)))
@click.pass_obj
def set_tier(made: tuple[Services, bool], org_id: str, tier: Tier) -> None:
    """Give the organization ORG_ID another tier."""
    was = made[0].registry.get(OrgId(org_id), fresh=True)
    _show(made, [fleet.organization(made[0], fleet.set_tier(made[0], _actor(), was, tier))])


@cli.command()
@click.pass_obj
def tiers(made: tuple[Services, bool]) -> None:
    """Show the table of tiers as it holds now."""
    _show(made, fleet.tiers(made[0]))


@cli.command("change-tier")
@click.argument("tier")
@click.option("--weight", type=click.IntRange(1, 1_000))
@click.option("--running", type=click.IntRange(1, 100_000))
@click.option("--waiting", type=click.IntRange(1, 10_000_000))
@click.pass_obj
def change_tier(made: tuple[Services, bool], /, tier: str, **changes: int | None) -> None:
    """Change figures of TIER for all its organizations."""
    wanted = {name: value for name, value in changes.items() if value is not None}
    _show(made, [fleet.change_tier(made[0], _actor(), tier, wanted)])


@cli.command()
@click.argument("mode", type=click.Choice(["plan", "apply", "verify"]))
@click.option("--wait/--no-wait", default=True, help="Wait for the end, or only accept the job.")
@click.pass_obj
def indexes(made: tuple[Services, bool], mode: str, *, wait: bool) -> None:
    """Compare all collections and indexes with what is declared; `apply` brings them up to date.

    It is a job of the platform, and goes on when this command is cut off. Exit 1 where something differs.
    """
    record = fleet.tend_indexes(made[0], _actor(), mode)
    if not wait:
        _show(made, [_job(record)])
        return
    ended = _watched(made[0], record)
    if ended.state != "succeeded":
        _show(made, [_job(ended)])
        sys.exit(1)
    click.echo(f"{ended.result['looked_at']} collections looked at.", err=True)
    if ended.result["differences"] or made[1]:
        _show(made, ended.result["differences"])
    else:
        click.echo("All is as declared.")
    if mode != "apply" and ended.result["counts"]:
        sys.exit(1)


@cli.command("platform-totals")
@click.option("--wait/--no-wait", default=True, help="Wait for the end, or only accept the job.")
@click.pass_obj
def platform_totals(made: tuple[Services, bool], *, wait: bool) -> None:
    """Measure all organizations, and show what they come to; as often as a history is wanted."""
    record = fleet.total_platform(made[0], _actor())
    ended = _watched(made[0], record) if wait else record
    if ended.state != "succeeded":
        _show(made, [_job(ended)])
        sys.exit(1 if wait else 0)
    found = made[0].platform_totals.get(ended.id)
    _show(made, [found if made[1] else {**found["totals"], "queue_p95_s": found["queue"]["p95_s"]}])


@cli.command("signing-keys")
@click.pass_obj
def signing_keys(made: tuple[Services, bool]) -> None:
    """List the keys that tokens are signed with."""
    _show(made, [_key(one) for one in made[0].signing_keys.all()])


@cli.command("rotate-signing-keys")
@click.pass_obj
def rotate_signing_keys(made: tuple[Services, bool]) -> None:
    """Make the next signing key; it signs in ten minutes, and nobody is signed out."""
    made[0].audit.note(_actor(), "signing-key.rotate", "next")
    _show(made, [_key(made[0].signing_keys.rotate())])


@cli.command("withdraw-signing-key")
@click.argument("key_id")
@click.pass_obj
def withdraw_signing_key(made: tuple[Services, bool], key_id: str) -> None:
    """Refuse what the key KEY_ID signed, within seconds; another signs at once."""
    made[0].audit.note(_actor(), "signing-key.withdraw", key_id)
    made[0].signing_keys.withdraw(key_id)
    _show(made, [_key(one) for one in made[0].signing_keys.all()])


@cli.command()
@click.pass_obj
def capacity(made: tuple[Services, bool]) -> None:
    """Show how full each data database is."""
    rows = [shown(load) for load in made[0].capacity.look()]
    figures = ("organizations", "collections", "files")
    flat = [{**one, **{name: f"{one[name]['used']} of {one[name]['limit']}" for name in figures}} for one in rows]
    _show(made, rows if made[1] else flat)


def _watched(services: Services, record: JobRecord) -> JobRecord:
    """Return the platform's job once it has ended, and show how far it is meanwhile."""
    with click.progressbar(length=1, label=record.kind, file=sys.stderr) as bar:
        while not (now := services.jobs.get(PLATFORM, record.id)).is_final:
            bar.length = max(1, now.progress.total or 1)
            bar.update(now.progress.done - bar.pos)
            time.sleep(LOOK_AGAIN_S)
    return now


def _key(one: SigningKey) -> dict[str, Any]:
    return {"id": one.kid, "signs_from": rfc3339(one.signs_from)}


def _selection(org: str | None, kind: str | None, state: str | None) -> Selection:
    return Selection(OrgId(org) if org else None, kind=kind, states=(state,) if state else ())


def _job(record: JobRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "org_id": record.org_id,
        "kind": record.kind,
        "state": record.state,
        "attempt": record.attempt,
        "losses": record.losses,
        "created_at": rfc3339(record.created_at),
        "error": record.error["code"] if record.error else None,
    }


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
