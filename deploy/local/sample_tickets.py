"""Made-up tickets for the demo: from a seed, with a known number of repeated and of refused rows.

Of every hundred rows two repeat an earlier one to the letter and one has an empty message, which is refused.
"""

import csv
import io
import random
from dataclasses import dataclass

_OPENINGS = (
    "I can't find",
    "Please change",
    "Since yesterday I miss",
    "Who can explain",
    "I was charged twice for",
)
_THINGS = (
    "my invoice",
    "the delivery",
    "a refund",
    "my second card",
    "the opening hours",
    "our contract",
    "an order",
)
_ENDINGS = ("and need it today.", "- any idea?", "as agreed on the phone.", "for the third time!", "Thank you.")
_CHANNELS = ("email", "chat", "phone", "web")
REPEATED_EVERY = 50
REFUSED_EVERY = 100


@dataclass(frozen=True)
class Sample:
    """A file of tickets, and what an import of it has to count."""

    content: bytes
    rows: int
    new: int
    repeated: int
    refused: int


def sample(seed: int, rows: int) -> Sample:
    """Make a CSV of *rows* tickets; the same seed makes the same file."""
    chance = random.Random(seed)  # noqa: S311 (a demo's data, no secret)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["customer_id", "channel", "subject", "message", "product"])
    earlier: list[list[str]] = []
    repeated = refused = 0
    for number in range(1, rows + 1):
        if number % REFUSED_EVERY == 0:
            row = [f"c{number}", "email", "Nothing said", "", "none"]
            refused += 1
        elif number % REPEATED_EVERY == REPEATED_EVERY - 1:
            row = chance.choice(earlier)
            repeated += 1
        else:
            row = _row(chance, number)
            earlier.append(row)
        writer.writerow(row)
    return Sample(out.getvalue().encode(), rows, rows - repeated - refused, repeated, refused)


def _row(chance: random.Random, number: int) -> list[str]:
    thing = chance.choice(_THINGS)
    text = _about(chance, thing, number)
    product = chance.choice(("basic", "plus", "family"))
    return [f"c{chance.randrange(2_000)}", chance.choice(_CHANNELS), thing.capitalize(), text, product]


def message(chance: random.Random, number: int) -> str:
    """Make up what a customer writes; *number* makes it unlike any other."""
    return _about(chance, chance.choice(_THINGS), number)


def _about(chance: random.Random, thing: str, number: int) -> str:
    return f"{chance.choice(_OPENINGS)} {thing} {chance.choice(_ENDINGS)} (no. {number})"
