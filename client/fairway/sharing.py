"""Many files shared in a room: a folder's, each under its place there, several at a time."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from fairway.client import Fairway
from fairway.errors import NotSent, Problem
from fairway.models import Job

AT_ONCE = 4
_OF_ONE_FILE = frozenset({413, 422})
"""What is refused of one file; any other refusal would meet them all."""


@dataclass(frozen=True)
class Outgoing:
    """A file on its way, and what it is to be called; *size_bytes* as it was found.

    One of a folder stays a file, also if it is a zip: its entries would not lie under their place in the folder.
    """

    path: Path
    name: str
    size_bytes: int
    is_of_folder: bool = False


@dataclass(frozen=True)
class Sent:
    """A file that was sent, with the job that imports it, or why it was not."""

    file: Outgoing
    job: Job | None = None
    refused: str | None = None


Going = Callable[[Outgoing, int], None]
"""Told how many bytes of a file went; from several threads."""


def outgoing(paths: Iterable[Path], *, name: str | None = None) -> Iterator[Outgoing]:
    """Go through the files of *paths*: each one, and of a folder all that is in it, under its place there.

    *name* is what a single file is to be called. Links in a folder are not followed: what they lead to may be no
    part of it.
    Raises `OSError` for a folder that can't be read.
    """
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path)
        else:
            yield _found(path, name if name is not None else path.name)


def share_all(
    fairway: Fairway,
    room_id: str,
    files: Sequence[Outgoing],
    *,
    unpack: bool = True,
    at_once: int = AT_ONCE,
    going: Going | None = None,
) -> Iterator[Sent]:
    """Share *files*, *at_once* at a time, and yield each as it is done; what is refused of one stops no other.

    Raises what would meet all of them, as `Problem` for a room that is not there, or `Unreachable`; then what is
    on its way is given up.
    """
    sharer = _Sharer(fairway, room_id, unpack=unpack, going=going)
    with ThreadPoolExecutor(at_once, thread_name_prefix="share") as threads:
        try:
            for done in as_completed([threads.submit(sharer.share, file) for file in files]):
                yield done.result()
        finally:
            sharer.stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)


class _Sharer:
    """What the threads share files with."""

    def __init__(self, fairway: Fairway, room_id: str, *, unpack: bool, going: Going | None) -> None:
        self.stopped = threading.Event()
        self._fairway = fairway
        self._room_id = room_id
        self._unpack = unpack
        self._going = going or (lambda *_: None)

    def share(self, file: Outgoing) -> Sent:
        """Share one; what is wrong with it alone is returned. Raises what would meet all."""
        if file.is_of_folder and file.path.is_symlink():
            return Sent(file, refused="is a link; share what it leads to by itself")
        if not file.path.is_file():
            return Sent(file, refused="is no file")
        try:
            return Sent(file, self._send(file))
        except Problem as problem:
            if problem.status not in _OF_ONE_FILE:
                raise
            return Sent(file, refused=_sentence(problem))
        except NotSent as error:
            return Sent(file, refused=str(error))
        except OSError as error:
            return Sent(file, refused=error.strerror or str(error))

    def _send(self, file: Outgoing) -> Job:
        def seen(went_bytes: int) -> None:
            if self.stopped.is_set():
                raise NotSent("Given up, because another one failed.")
            self._going(file, went_bytes)

        unpack = self._unpack and not file.is_of_folder
        return self._fairway.share(self._room_id, file.path, name=file.name, unpack=unpack, seen=seen)


def _in_folder(folder: Path) -> Iterator[Outgoing]:
    def refuse(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders.sort()
        links = [name for name in folders if Path(here, name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(here, name)
            yield replace(_found(path, path.relative_to(folder).as_posix()), is_of_folder=True)


def _found(path: Path, name: str) -> Outgoing:
    """Return the file as it is; one that can't be looked at is found out when it is sent."""
    try:
        return Outgoing(path, name, path.stat().st_size)
    except OSError:
        return Outgoing(path, name, 0)


def _sentence(problem: Problem) -> str:
    faults = "; ".join(str(one.get("detail", "")) for one in problem.errors)
    return f"{problem.detail} {faults}".strip()
