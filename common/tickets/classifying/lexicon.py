"""Phrases and what each weighs on three scales, found in a row of words by look-ups alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Phrase = tuple[str, ...]
Scale = Literal[0, 1, 2]
SENTIMENT: Scale = 0
URGENCY: Scale = 1
ACTION: Scale = 2
END = "\0"
"""What a row of words ends with, so that every word has one after it; no word is this."""

Entry = tuple[Phrase, Scale, int]
"""What a phrase weighs on one scale. This and a hit are bare tuples: named ones cost more than a look-up."""
Hit = tuple[Phrase, float, int, int]
"""A phrase and its weight, the place of its first word, and from where on words belong to no earlier hit."""
Hits = tuple[list[Hit], list[Hit], list[Hit]]
"""By scale, in the order of the text."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Entries by their first word, then by their second, the longest first.

    A phrase of one word is under each second word, too, and under `END` for all the others.
    """

    entries: Mapping[str, Mapping[str, Sequence[Entry]]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Lexicon":
        """Make the look-ups for phrases of at least one word."""
        grouped = groupby(sorted(entries), key=lambda entry: entry[0][0])
        return cls({first: _by_second_word(list(group)) for first, group in grouped})

    def hits(self, words: tuple[str, ...]) -> Hits:
        """Find the phrases in *words*, whose last is `END`: on each scale the longest at a place, none in another.

        Linear: a place costs as many comparisons as there are entries with its two words.
        """
        found: Hits = ([], [], [])
        free_from = [0, 0, 0]
        entries = self.entries
        for start, word in enumerate(words):
            if word in entries:
                by_second = entries[word]
                for phrase, scale, weight in by_second.get(words[start + 1]) or by_second[END]:
                    free = free_from[scale]
                    end = start + len(phrase)
                    if start >= free and words[start:end] == phrase:
                        found[scale].append((phrase, weight, start, free))
                        free_from[scale] = end
        return found


def _by_second_word(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    single = [entry for entry in entries if len(entry[0]) == 1]
    found: dict[str, list[Entry]] = {END: single}
    for entry in sorted(entries, key=lambda entry: -len(entry[0])):
        if len(entry[0]) > 1:
            found.setdefault(entry[0][1], []).append(entry)
    for second in found.keys() - {END}:
        found[second] += single
    return found
