"""The demo's second part: an organization shares a folder and a zip in a room, and every count is checked."""

import io
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from fairway import Fairway, Job, Problem, Room
from fairway.sharing import outgoing, share_all
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.demo_killer import Killer
from deploy.local.demo_tenants import Tenant, add_person
from deploy.local.sample_files import Archive, Files, sample_archive, sample_folder

SEED = 2026
WITHIN_S = 120
FETCHED = 20
COUNTS = ("files", "new", "deduplicated", "refused")
FORBIDDEN, ABSENT = 403, 404
_COLUMNS = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@dataclass(frozen=True)
class Row:
    """What was sent at once, and what came of it; bytes are those of the files themselves, unpacked."""

    what: str
    counts: Mapping[str, int]
    sent_bytes: int
    stored_bytes: int


@dataclass
class FilesReport:
    """How it went: a row for each sending, and what is not as it must be."""

    rows: list[Row] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    took_s: float = 0.0

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note a fault if something is not what it must be."""
        if found != wanted:
            self.faults.append(f"{what}: {found}, not {wanted}")


def share_files(url: str, tenant: Tenant, console: Console, killer: Killer) -> FilesReport:
    """Share a made-up folder and a zip in a room of *tenant*, and check what became of every file."""
    started, report = time.monotonic(), FilesReport()
    folder = sample_folder(SEED)
    archive = sample_archive(SEED, folder)
    room = tenant.admin.make_room("Spring campaign")
    _let_somebody_look(url, tenant, room, console, report)
    with tempfile.TemporaryDirectory() as place, Progress(*_COLUMNS, console=console) as progress:
        sharing = _Sharing(tenant.admin, room, Path(place), progress, report)
        sharing.send_folder(folder)
        sharing.send_zip(archive, new=frozenset(archive.good.values()) - set(folder.values()), killer=killer)
        sharing.check_stored({**folder, **archive.good})
    report.took_s = time.monotonic() - started
    return report


def table_of(report: FilesReport) -> Table:
    """Return what was sent, stored and deduplicated, as a table."""
    table = Table(title="What was shared in a room")
    for heading in ("sent", *COUNTS, "bytes", "stored", "spared"):
        table.add_column(heading, justify="left" if heading == "sent" else "right", no_wrap=True)
    together = Row(
        "both",
        {name: sum(row.counts[name] for row in report.rows) for name in COUNTS},
        sum(row.sent_bytes for row in report.rows),
        sum(row.stored_bytes for row in report.rows),
    )
    for row in (*report.rows, together):
        spared = f"{100 - 100 * row.stored_bytes / max(1, row.sent_bytes):.0f} %"
        counts = [str(row.counts[name]) for name in COUNTS]
        table.add_row(row.what, *counts, str(row.sent_bytes), str(row.stored_bytes), spared)
    return table


def _let_somebody_look(url: str, tenant: Tenant, room: Room, console: Console, report: FilesReport) -> None:
    """Let a second person in who may look and not send; before, the room does not exist for them."""
    user_id, bob = add_person(url, tenant, "Bob")
    with bob:
        before = _refusal(lambda: bob.room(room.id))
        tenant.admin.set_member(room.id, user_id, "viewer")
        seen = bob.room(room.id)
        refused = _refusal(lambda: bob.share(room.id, io.BytesIO(b"May I?"), name="mine.txt"))
    report.expect("the room for who is not in it", before.status if before else None, ABSENT)
    report.expect("the viewer's role", seen.role, "viewer")
    report.expect("what a viewer sends", refused.status if refused else None, FORBIDDEN)
    if refused is not None:
        told = f"Bob, a viewer, looks into {seen.name!r}, and may not send: {refused.status} {refused.detail}"
        console.print(told, highlight=False, markup=False)


def _refusal(ask: Callable[[], object]) -> Problem | None:
    try:
        ask()
    except Problem as problem:
        return problem
    return None


class _Sharing:
    """What is sent to one room, and held against what comes of it."""

    def __init__(self, admin: Fairway, room: Room, place: Path, progress: Progress, report: FilesReport) -> None:
        self._admin = admin
        self._room = room
        self._place = place
        self._progress = progress
        self._report = report

    def send_folder(self, folder: Files) -> None:
        """Share the files of a folder, several at a time, and wait for each."""
        here = self._place / "campaign"
        for name, content in folder.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(content)
        bar, counts = self._progress.add_task("a folder", total=len(folder)), Counter(dict.fromkeys(COUNTS, 0))
        sent = list(share_all(self._admin, self._room.id, list(outgoing([here]))))
        self._report.expect("what was not sent", [one.refused for one in sent if one.job is None], [])
        for one in sent:
            if one.job is not None:
                counts.update(self._counts(self._admin.wait(one.job.id, within_s=WITHIN_S)))
                self._progress.advance(bar)
        distinct = set(folder.values())
        repeated = len(folder) - len(distinct)
        wanted = {"files": len(folder), "new": len(distinct), "deduplicated": repeated, "refused": 0}
        self._report.expect("the folder's counts", dict(counts), wanted)
        self._report.rows.append(Row("folder", counts, _size_of(folder.values()), _size_of(distinct)))

    def send_zip(self, archive: Archive, *, new: frozenset[bytes], killer: Killer) -> None:
        """Share a zip of which *new* is not stored yet, and follow it to its end."""
        file = self._place / "archive.zip"
        file.write_bytes(archive.content)
        job, bar = self._admin.share(self._room.id, file), self._progress.add_task("a zip", total=None)
        for event in self._admin.follow(job.id, within_s=WITHIN_S):
            job = event.job or job
            shown = event.progress or job.progress
            self._progress.update(bar, completed=shown.done, total=shown.total)
            killer.look(job, shown)
        counts, refused = self._counts(job), len(archive.refused)
        repeated = len(archive.good) - len(new)
        total = len(archive.good) + refused
        wanted = {"files": total, "new": len(new), "deduplicated": repeated, "refused": refused}
        self._report.expect("the zip's counts", counts, wanted)
        self._check_entries(job.id, archive, wanted)
        self._report.rows.append(Row("zip", counts, _size_of(archive.good.values()), _size_of(new)))

    def _check_entries(self, job_id: str, archive: Archive, wanted: Mapping[str, int]) -> None:
        """Hold what is told of each entry against what was sent."""
        entries = list(self._admin.entries(job_id))
        self._report.expect("the entries' numbers", [one.number for one in entries], list(range(wanted["files"])))
        outcomes = Counter[str](one.outcome for one in entries)
        self._report.expect("the entries' outcomes", {"files": len(entries), **outcomes}, wanted)
        reasons = {one.name: one.reason for one in self._admin.entries(job_id, outcome="refused")}
        told = {name for name, reason in reasons.items() if reason}
        self._report.expect("the entries that are refused with a reason", told, archive.refused)
        for name, reason in sorted(reasons.items()):
            said = f"refused of the zip: {name}: {reason}"
            self._progress.console.print(said, highlight=False, markup=False)

    def check_stored(self, sent: Files) -> None:
        """Hold what is stored, listed and downloaded against what was sent."""
        distinct, storage = set(sent.values()), self._admin.storage()
        self._report.expect("the stored bytes", storage.stored_bytes, _size_of(distinct))
        self._report.expect("the stored files", storage.files, len(distinct))
        self._report.expect("the bytes on their way", storage.reserved_bytes, 0)
        files = list(self._admin.files(self._room.id))
        listed = {name: one.sha256 for one in files for name in one.names}
        hashes = {name: sha256(content).hexdigest() for name, content in sent.items()}
        self._report.expect("the listed files", len(files), len(distinct))
        self._report.expect("the names that list other bytes", _differing(listed, hashes), [])
        bar, fetched = self._progress.add_task("downloads", total=FETCHED), self._place / "fetched"
        for file in random.Random(SEED).sample(files, FETCHED):  # noqa: S311 (a sample, no secret)
            self._admin.download(file.id, fetched)
            is_same = fetched.read_bytes() == sent[file.name]
            self._report.expect(f"the download of {file.name}", "equal" if is_same else "other bytes", "equal")
            self._progress.advance(bar)

    def _counts(self, job: Job) -> dict[str, int]:
        """Return what the job counted; nothing, with a fault, if it failed."""
        self._report.expect(f"the state of job {job.id}", (job.state, job.error), ("succeeded", None))
        result = job.result or {}
        return {name: result.get(name, 0) for name in COUNTS}


def _differing(listed: Mapping[str, str], sent: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*listed, *sent} if listed.get(name) != sent.get(name))


def _size_of(contents: Iterable[bytes]) -> int:
    return sum(map(len, contents))
