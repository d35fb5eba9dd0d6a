"""`fairway share`: files and folders into a room, several at a time, and what came of them."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import click
from rich.progress import Progress

from fairway.client import Fairway
from fairway.file_commands import bar
from fairway.models import Job
from fairway.room_commands import room_id
from fairway.sharing import AT_ONCE, Outgoing, Sent, outgoing, share_all
from fairway.starting import and_then, go_on, with_key
from fairway.terminal import FAILED, REFUSED, Terminal, printable, reported

COUNTS = ("new", "deduplicated", "refused")


@click.command()
@click.argument("room")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="What the one file is to be called; may be a relative path.")
@click.option(
    "--unpack/--no-unpack",
    default=True,
    help="Whether zips are unpacked; those in a folder are kept as they are.",
    show_default=True,
)
@click.option("--at-once", default=AT_ONCE, type=click.IntRange(1, 32), show_default=True, help="Files at a time.")
@with_key
@and_then
@click.pass_obj
@reported
def share(
    terminal: Terminal, *, room: str, paths: Sequence[Path], name: str | None, key: str | None, **options: Any
) -> None:
    """Share each PATH in ROOM: a file, or all files of a folder under their places there.

    A thousand small files are sooner there as one zip.
    """
    is_one = len(paths) == 1 and paths[0].is_file()
    if not is_one and (name is not None or key is not None):
        raise click.UsageError("--name and --key are for a single file.")
    with terminal.api() as fairway:
        here = room_id(fairway, room)
        if is_one:
            _share_one(terminal, fairway, here, paths[0], name=name, key=key, **options)
        else:
            _Sharing(terminal, fairway, here, list(outgoing(paths))).run(**options)


def _share_one(
    terminal: Terminal,
    fairway: Fairway,
    room: str,
    path: Path,
    *,
    then: str | None,
    within_s: float,
    at_once: int,
    **options: Any,
) -> None:
    del at_once
    with bar() as bars:
        task = bars.add_task(printable(path.name), total=path.stat().st_size)
        job = fairway.share(room, path, seen=lambda done: bars.update(task, completed=done), **options)
    go_on(terminal, fairway, job, then, within_s)


class _Sharing:
    """Several files on their way, and what is said of them."""

    def __init__(self, terminal: Terminal, fairway: Fairway, room: str, files: Sequence[Outgoing]) -> None:
        self._terminal = terminal
        self._fairway = fairway
        self._room = room
        self._files = files
        self._ends = Counter({"files": len(files), "bytes": 0, "not_sent": 0, "failed": 0})

    def run(self, *, then: str | None, within_s: float, **options: Any) -> None:
        """Send them all, and wait for what becomes of them if *then* says so; ends the command."""
        sent = []
        with bar() as bars:
            going = _Going(bars, self._files)
            for one in share_all(self._fairway, self._room, self._files, going=going.bytes, **options):
                sent.append(one)
                going.files(len(sent))
        for one in sent:
            job = self._fairway.wait(one.job.id, within_s=within_s) if one.job and then else one.job
            self._count(one, job)
            if then == "tail" or self._terminal.as_json or one.refused or _is_lost(job):
                self._tell(one, job)
        self._close(waited=then is not None)

    def _count(self, one: Sent, job: Job | None) -> None:
        counts: Mapping[str, Any] = (job.result if job is not None else None) or {}
        self._ends.update({name: counts.get(name, 0) for name in COUNTS})
        self._ends["bytes"] += one.file.size_bytes if job is not None else 0
        self._ends["not_sent"] += job is None
        self._ends["failed"] += _is_lost(job)

    def _tell(self, one: Sent, job: Job | None) -> None:
        """Say what became of a file."""
        state = job.state if job is not None else "refused"
        why = one.refused or (job.error.get("detail") if job is not None and job.error else None)
        if self._terminal.as_json:
            shown = {"name": one.file.name, "size_bytes": one.file.size_bytes, "state": state, "reason": why}
            self._terminal.show(shown | {"job_id": job.id if job is not None else None})
        else:
            self._terminal.say(f"{one.file.name}: {state}" + (f": {why}" if why else ""))

    def _close(self, *, waited: bool) -> None:
        ends = self._ends
        if self._terminal.as_json:
            self._terminal.show(dict(ends))
        else:
            told = f"{ends['files']} files, {ends['bytes']} bytes sent, {ends['not_sent']} files not sent"
            self._terminal.say(told + (_became(ends) if waited else "; their imports go on: fairway jobs"))
        if ends["not_sent"] or ends["failed"]:
            sys.exit(REFUSED if ends["not_sent"] else FAILED)


class _Going:
    """The bar of a sharing: its bytes, and how many of its files are over."""

    def __init__(self, bars: Progress, files: Sequence[Outgoing]) -> None:
        self._bars = bars
        self._total = len(files)
        self._task = bars.add_task("", total=sum(one.size_bytes for one in files))
        self._went: dict[Path, int] = {}
        self._lock = Lock()
        self.files(0)

    def bytes(self, file: Outgoing, went_bytes: int) -> None:
        """Note how many bytes of a file went; fewer than before when it is sent again."""
        with self._lock:
            more = went_bytes - self._went.get(file.path, 0)
            self._went[file.path] = went_bytes
        self._bars.advance(self._task, more)

    def files(self, done: int) -> None:
        """Note how many files are over."""
        self._bars.update(self._task, description=f"{done} of {self._total} files")


def _is_lost(job: Job | None) -> bool:
    return job is not None and job.state in {"failed", "cancelled"}


def _became(ends: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{ends[name]} {name}" for name in (*COUNTS, "failed"))
