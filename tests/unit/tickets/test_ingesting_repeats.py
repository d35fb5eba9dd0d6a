"""Whether a walk from page to page is noticed when it goes in a circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.tickets.ingesting.repeats import Walk


def _steps_until_back(places: list[bytes], most: int) -> int | None:
    walk = Walk()
    for step in range(most):
        place = places[step % len(places)]
        if walk.is_back(place):
            return step
        walk = walk.on(place)
    return None


@pytest.mark.parametrize("length", [1, 2, 3, 10, 100])
def test_a_circle_is_noticed_within_three_times_its_length(length: int) -> None:
    places = [str(number).encode() for number in range(length)]

    noticed = _steps_until_back(places, 10 * length)

    assert noticed is not None
    assert noticed <= 3 * length


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_circle_behind_a_tail_is_noticed(tail: int, length: int) -> None:
    walk, step, noticed = Walk(), 0, False
    while step < 4 * (tail + length) + 4 and not noticed:
        place = str(step if step < tail else tail + (step - tail) % length).encode()
        noticed = walk.is_back(place)
        walk = walk.on(place)
        step += 1

    assert noticed


def test_a_walk_that_never_comes_back_goes_on() -> None:
    assert _steps_until_back([str(number).encode() for number in range(5_000)], 5_000) is None
