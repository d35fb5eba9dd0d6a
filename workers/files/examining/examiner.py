"""Who has contents examined: by one child for many, and by the next when a content was too much for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO, Self

from common.files.findings import UNKNOWN_TYPE, Findings
from workers.files.examining.handing import Parcel, hand_contents, hand_file
from workers.files.examining.process import COMMAND, Child, ChildFailed, Died
from workers.files.examining.wire import Part, Request

LIMIT_S = 10.0
PATIENCE_S = 60.0
GROUP_MAX = 100
_IMPATIENT = "Only its type was named: looking into those before it took too long."


class Examiner:
    """Examine the contents of one job. Use it as a context: its child is killed at the end.

    A child has *limit_s* for each content, by the clock; when a group of contents has taken *patience_s*, only the
    types of its rest are named. Not for several threads at once.
    """

    def __init__(
        self,
        *,
        command: Sequence[str] = COMMAND,
        limit_s: float = LIMIT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._command = command
        self._limit_s = limit_s
        self._patience_s = patience_s
        self._running: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the child, if there is one; the next examination starts another."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()

    def examine(self, file: BinaryIO, size_bytes: int) -> Findings:
        """Examine one stored file of *size_bytes*.

        A plain file is read from its start by its descriptor, anything else from where it stands, and of more than
        64 MiB only the beginning. Raises `Unavailable` if no child can be started.
        """
        with hand_file(file, size_bytes) as parcel:
            return self._examine(parcel)[0]

    def examine_all(self, contents: Sequence[bytes]) -> list[Findings]:
        """Examine small contents, a hundred in each round trip; return what was found, in their order.

        One that breaks the child costs the others nothing. Raises `Unavailable` if no child can be started.
        """
        found: list[Findings] = []
        for start in range(0, len(contents), GROUP_MAX):
            with hand_contents(contents[start : start + GROUP_MAX]) as parcel:
                found += self._examine(parcel)
        return found

    def _examine(self, parcel: Parcel) -> list[Findings]:
        until = time.monotonic() + self._patience_s
        found: list[Findings] = []
        while len(found) < len(parcel.parts):
            try:
                self._go_on(parcel, found, until)
            except ChildFailed as failure:
                found.append(self._alone(parcel, parcel.parts[len(found)], failure))
        return found

    def _go_on(self, parcel: Parcel, found: list[Findings], until: float) -> None:
        """Have what is not in *found* examined; stops early when the child is spent, or when patience ends."""
        rest = parcel.parts[len(found) :]
        is_over = time.monotonic() > until
        with self._child() as child:
            child.ask(Request(rest, type_only=is_over), parcel.descriptor)
            for _ in rest:
                answer = child.answer(self._limit_s)
                found.append(replace(answer.findings, problem=_IMPATIENT) if is_over else answer.findings)
                if answer.is_last or (not is_over and time.monotonic() > until):
                    self.close()
                    return

    def _alone(self, parcel: Parcel, part: Part, failure: ChildFailed) -> Findings:
        """Return what can be said of a content that a child failed at.

        A child that died may have been killed for another reason, or broken by a content before: one more tries.
        """
        if isinstance(failure, Died):
            try:
                return self._one(parcel, part, type_only=False)
            except ChildFailed as again:
                failure = again
        try:
            media_type = self._one(parcel, part, type_only=True).media_type
        except ChildFailed:
            media_type = UNKNOWN_TYPE
        return Findings(media_type, problem=failure.sentence)

    def _one(self, parcel: Parcel, part: Part, *, type_only: bool) -> Findings:
        with self._child() as child:
            child.ask(Request((part,), type_only=type_only), parcel.descriptor)
            answer = child.answer(self._limit_s)
            if answer.is_last:
                self.close()
            return answer.findings

    @contextmanager
    def _child(self) -> Iterator[Child]:
        """Lend the child, started if there is none. One that is interrupted has answers left, so it is killed."""
        if self._running is not None and not self._running.is_alive:  # it had nothing to do for long
            self.close()
        if self._running is None:
            self._running = Child(self._command)
        try:
            yield self._running
        except BaseException:
            self.close()
            raise
