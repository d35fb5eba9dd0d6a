"""Commands on the files of rooms: list, look, fetch, take out, and what is stored."""

from itertools import islice
from pathlib import Path, PurePosixPath

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from fairway.file_models import Outcome
from fairway.ids import FILE_ID, JOB_ID
from fairway.room_commands import room_id
from fairway.terminal import Terminal, err, printable, reported

OUTCOMES = ("new", "deduplicated", "refused", "pending")


@click.command()
@click.argument("room")
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@reported
def files(terminal: Terminal, *, room: str, limit: int) -> None:
    """List the files of ROOM, those first that were added last."""
    with terminal.api() as fairway:
        found = islice(fairway.files(room_id(fairway, room)), limit)
        terminal.list(found, "id", "name", "size_bytes", "media_type", "state", "found")


@click.command("file")
@click.argument("file_id", metavar="FILE", type=FILE_ID)
@click.pass_obj
@reported
def show_file(terminal: Terminal, *, file_id: str) -> None:
    """Show FILE, and the rooms that have it."""
    with terminal.api() as fairway:
        terminal.show(fairway.file(file_id))


@click.command()
@click.argument("file_id", metavar="FILE", type=FILE_ID)
@click.argument("dest", default=".", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.pass_obj
@reported
def fetch(terminal: Terminal, *, file_id: str, dest: Path, force: bool) -> None:
    """Download FILE to DEST, a folder or a file; cut off, the same command goes on where it was."""
    with terminal.api() as fairway:
        found = fairway.file(file_id)
        file = dest / _safe(found.name) if dest.is_dir() else dest
        if file.exists() and not force:
            raise click.UsageError(f"{file} is there already; --force replaces it.")
        with bar() as bars:
            task = bars.add_task(printable(file.name), total=found.size_bytes)
            fairway.download(file_id, file, seen=lambda done: bars.update(task, completed=done))
    if terminal.as_json:
        terminal.show({"id": file_id, "path": str(file), "size_bytes": found.size_bytes, "sha256": found.sha256})
    else:
        terminal.say(f"{file}, {found.size_bytes} bytes")


@click.command()
@click.argument("room")
@click.argument("file_id", metavar="FILE", type=FILE_ID)
@click.pass_obj
@reported
def unshare(terminal: Terminal, *, room: str, file_id: str) -> None:
    """Take FILE out of ROOM; its bytes go with the last room that has it."""
    with terminal.api() as fairway:
        fairway.remove_file(room_id(fairway, room), file_id)


@click.command()
@click.argument("job_id", metavar="JOB", type=JOB_ID)
@click.option("--outcome", type=click.Choice(OUTCOMES))
@click.option("--limit", default=50, type=click.IntRange(1, 100_000), show_default=True)
@click.pass_obj
@reported
def entries(terminal: Terminal, *, job_id: str, outcome: Outcome | None, limit: int) -> None:
    """List the entries of the zip that JOB imports, with what became of each."""
    with terminal.api() as fairway:
        found = islice(fairway.entries(job_id, outcome=outcome), limit)
        terminal.list(found, "number", "name", "size_bytes", "outcome", "file_id", "reason")


@click.command()
@click.pass_obj
@reported
def storage(terminal: Terminal) -> None:
    """Show how much the organization stores, of how much."""
    with terminal.api() as fairway:
        terminal.show(fairway.storage())


def bar() -> Progress:
    """Return a bar of bytes, on the terminal and never among what is printed."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _safe(name: str) -> str:
    """Return what a file is called here: never a path, whatever the API says."""
    last = PurePosixPath(name.replace("\\", "/")).name
    return last if last not in {"", ".", ".."} and "\0" not in last else "file"
