"""What several threads ask for at the same time, done together: one round trip, and nobody waits for company.

There is no thread of its own: whoever finds nobody at work works for all that wait by then, then hands on.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from common.errors import Interruption, Unavailable

A = TypeVar("A")
R = TypeVar("R")
GROUP_MAX = 64


def _closed_gate() -> threading.Lock:
    """Return a lock that is held: who acquires it waits for its release. Cheaper than an event."""
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass(eq=False, slots=True)
class _Waiting:
    asked: Any
    turn: threading.Lock = field(default_factory=_closed_gate)
    leads: bool = False
    answer: Any = None
    error: BaseException | None = None


class Together(Generic[A, R]):
    """Calls *do* with what is asked at the same time, at most 64; it returns an answer or an error for each.

    What *do* raises, all of the group get; but what interrupts the thread that leads is its own, and the others
    get `Unavailable`. Then *after*, if there is one, is called with what was asked and did
    not fail, by the thread that led, before its own answer: the others are answered meanwhile.
    """

    def __init__(
        self,
        do: Callable[[Sequence[A]], Sequence[R | BaseException]],
        *,
        after: Callable[[Sequence[A]], None] | None = None,
    ) -> None:
        self._do = do
        self._after = after
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_working = False

    def __call__(self, asked: A) -> R:
        """Return the answer to *asked*, or raise its error."""
        mine = _Waiting(asked)
        with self._lock:
            mine.leads = not self._is_working
            self._is_working = True
            if not mine.leads:
                self._waiting.append(mine)
        if not mine.leads:
            mine.turn.acquire()  # until a leader hands over the lead, or the answer
        if mine.leads:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        answer: R = mine.answer
        return answer

    def _lead(self, leader: _Waiting) -> None:
        with self._lock:
            company = min(GROUP_MAX - 1, len(self._waiting))
            group = [leader, *(self._waiting.popleft() for _ in range(company))]
        try:
            self._work(group)
        finally:
            # Hand the lead on first, so that the next group sets out while this one is answered.
            self._hand_on()
            for one in group[1:]:
                one.turn.release()
        if self._after is not None:
            self._after([one.asked for one in group if one.error is None])

    def _hand_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._is_working = False
                return
            heir = self._waiting.popleft()
        heir.leads = True
        heir.turn.release()

    def _work(self, group: Sequence[_Waiting]) -> None:
        try:
            answers = self._do([one.asked for one in group])
        except BaseException as error:  # noqa: BLE001 (nobody may take silence for an answer)
            leader, *others = group
            leader.error = error
            for one in others:
                one.error = error if _is_of_all(error) else Unavailable("It was broken off. Try again.")
            return
        for one, answer in zip(group, answers, strict=True):
            if isinstance(answer, BaseException):
                one.error = answer
            else:
                one.answer = answer


def _is_of_all(error: BaseException) -> bool:
    return isinstance(error, Exception) and not isinstance(error, Interruption)
