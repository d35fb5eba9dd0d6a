"""Phrases and what each weighs, found in a row of words by look-ups alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

Phrase = tuple[str, ...]
END = ""
"""What a row of words ends with, so that every word has one after it."""


class Hit(NamedTuple):
    """A phrase was found from *start* to *end*; words before *free_from* belong to the hit before it."""

    start: int
    end: int
    free_from: int
    weight: float
    phrase: Phrase


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Phrases by their first word, then by their second, the longest first.

    A phrase of one word is under each second word as well, and under `END` for all the others.
    """

    entries: Mapping[str, Mapping[str, Sequence[tuple[Phrase, float]]]]

    @classmethod
    def of(cls, weights: Mapping[Phrase, float]) -> "Lexicon":
        """Make the look-ups for phrases of at least one word."""
        grouped = groupby(sorted(weights.items()), key=lambda item: item[0][0])
        return cls({first: _by_second_word(dict(items)) for first, items in grouped})

    def hits(self, words: Sequence[str]) -> Iterator[Hit]:
        """Find the phrases in *words*, whose last is `END`: at each place the longest, none in another.

        Linear: a place costs as many comparisons as there are phrases with its two words.
        """
        entries, free_from = self.entries, 0
        for start, word in enumerate(words):
            if word in entries and start >= free_from:
                by_second = entries[word]
                for phrase, weight in by_second.get(words[start + 1]) or by_second[END]:
                    end = start + len(phrase)
                    if tuple(words[start:end]) == phrase:
                        yield Hit(start, end, free_from, weight, phrase)
                        free_from = end
                        break


def _by_second_word(weights: Mapping[Phrase, float]) -> dict[str, list[tuple[Phrase, float]]]:
    single = [item for item in weights.items() if len(item[0]) == 1]
    found: dict[str, list[tuple[Phrase, float]]] = {END: single}
    longest_first = sorted(weights.items(), key=lambda item: -len(item[0]))
    for phrase, weight in longest_first:
        if len(phrase) > 1:
            found.setdefault(phrase[1], []).append((phrase, weight))
    for second in found.keys() - {END}:
        found[second] += single
    return found
