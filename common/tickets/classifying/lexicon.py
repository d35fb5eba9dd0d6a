"""Phrases and what each weighs on three scales, found in a row of words by look-ups alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """What each phrase weighs, and how long the phrases are that begin with two given words.

    The lengths are by first word, then by second, the longest first; those of one word are under `END`, too.
    """

    weights: Mapping[Phrase, tuple[tuple[Scale, int], ...]]
    lengths: Mapping[str, Mapping[str, tuple[int, ...]]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Lexicon":
        """Make the look-ups for phrases of at least one word."""
        weights: dict[Phrase, tuple[tuple[Scale, int], ...]] = {}
        for phrase, scale, weight in entries:
            weights[phrase] = (*weights.get(phrase, ()), (scale, weight))
        return cls(weights, _lengths(weights))

    def hits(self, words: tuple[str, ...]) -> Hits:
        """Find the phrases in *words*, whose last is `END`: on each scale the longest at a place, none in another.

        Linear: a place costs at most one look-up for each length of a phrase, however many phrases there are.
        """
        found: Hits = ([], [], [])
        free_from = [0, 0, 0]
        lengths, weights = self.lengths, self.weights
        for start, word in enumerate(words):
            if word in lengths:
                by_second = lengths[word]
                for length in by_second.get(words[start + 1]) or by_second[END]:
                    phrase = words[start : start + length]
                    for scale, weight in weights.get(phrase, ()):
                        free = free_from[scale]
                        if start >= free:
                            found[scale].append((phrase, weight, start, free))
                            free_from[scale] = start + length
        return found


def _lengths(phrases: Iterable[Phrase]) -> dict[str, dict[str, tuple[int, ...]]]:
    found: defaultdict[str, defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for phrase in phrases:
        second = phrase[1] if len(phrase) > 1 else END
        found[phrase[0]][second].add(len(phrase))
    return {
        first: {END: tuple(by_second[END])}
        | {second: tuple(sorted(some | by_second[END], reverse=True)) for second, some in by_second.items()}
        for first, by_second in found.items()
    }
