"""What several threads ask for at the same time is done together, and each gets its own answer."""

import threading
import time
from collections.abc import Sequence

import pytest

from common.errors import TimeLimitExceeded, Unavailable
from common.together import GROUP_MAX, Together


class Doing:
    """Does what is asked when the test lets it, and notes who was asked together."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go = threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int | BaseException]:
        self.groups.append(list(asked))
        self.may_go.wait(10)
        return [KeyError(one) if one < 0 else one * 2 for one in asked]


def ask_all(together: Together[int, int], asked: Sequence[int]) -> dict[int, int | str]:
    """Ask from a thread each, all at once; return the answers, or the names of the errors."""
    answers: dict[int, int | str] = {}

    def ask(one: int) -> None:
        try:
            answers[one] = together(one)
        except (KeyError, RuntimeError) as error:
            answers[one] = type(error).__name__

    threads = [threading.Thread(target=ask, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return answers


def test_each_gets_its_own_answer_and_many_share_a_round() -> None:
    doing = Doing()
    threading.Timer(0.2, doing.may_go.set).start()

    answers = ask_all(Together(doing), range(40))

    assert answers == {one: one * 2 for one in range(40)}
    assert len(doing.groups) < 40
    assert sorted(one for group in doing.groups for one in group) == list(range(40))


def test_an_error_is_only_that_ones_own() -> None:
    doing = Doing()
    threading.Timer(0.2, doing.may_go.set).start()

    answers = ask_all(Together(doing), [1, -2, 3])

    assert answers == {1: 2, -2: "KeyError", 3: 6}


def test_what_breaks_a_round_is_told_to_all_of_it_and_the_next_goes_on() -> None:
    def breaks(asked: Sequence[int]) -> Sequence[int]:
        if 1 in asked:
            raise RuntimeError("broken")
        return asked

    together = Together(breaks)

    assert ask_all(together, [1]) == {1: "RuntimeError"}
    assert together(2) == 2


def test_what_interrupts_the_leader_is_its_own() -> None:
    """The soft limit of a handler's time is raised in the thread that leads; it is nobody else's."""
    may_go, waits = threading.Event(), threading.Event()

    def is_interrupted(asked: Sequence[int]) -> Sequence[int]:
        waits.set()
        may_go.wait(10)
        if len(asked) > 1:
            raise TimeLimitExceeded("over")
        return asked

    together = Together(is_interrupted)
    first = threading.Thread(target=together, args=(0,))
    first.start()
    assert waits.wait(10)
    errors: list[type[BaseException]] = []

    def ask(one: int) -> None:
        try:
            together(one)
        except (TimeLimitExceeded, Unavailable) as error:
            errors.append(type(error))

    others = [threading.Thread(target=ask, args=(one,)) for one in (1, 2, 3)]
    for one in others:
        one.start()
    until_waiting(together, 3)
    may_go.set()
    for one in (first, *others):
        one.join(10)

    assert sorted(one.__name__ for one in errors) == ["TimeLimitExceeded", "Unavailable", "Unavailable"]


def until_waiting(together: Together[int, int], count: int) -> None:
    """Return once so many wait for their turn."""
    deadline = time.monotonic() + 10
    while len(together._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_round_is_bounded() -> None:
    doing = Doing()
    threading.Timer(0.5, doing.may_go.set).start()

    ask_all(Together(doing), range(3 * GROUP_MAX))

    assert max(len(group) for group in doing.groups) <= GROUP_MAX


def test_afterwards_only_what_did_not_fail_is_told() -> None:
    doing, told = Doing(), list[int]()
    doing.may_go.set()
    together = Together(doing, after=told.extend)

    with pytest.raises(KeyError):
        together(-1)
    together(4)

    assert told == [4]
