"""What somebody looks for: words that must all be in a ticket, whole, whatever their case and accents.

MongoDB's text search reads all tickets that have *any* of the words it is given, and takes a minus before one to
forbid it. So it is asked for one word, and what it finds is judged here by all of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile

from common.tickets.fields import Unfit

SOUGHT_MAX_CHARS = 200
_PARTS = re.compile(r'"([^"]*)"|([^\s"]+)')


@dataclass(frozen=True)
class Words:
    """What is looked for: *parts* are words, or several that stand together as they stand."""

    parts: tuple[str, ...]

    @property
    def single(self) -> list[str]:
        """Return each word by itself, the longest first, for they are the rarest as a rule."""
        words = {_bare(word) for part in self.parts for word in part.split()}
        return sorted(filter(_says_something, words), key=lambda word: (-len(word), word))

    def are_in(self, texts: Iterable[str | None]) -> bool:
        """Tell whether each part is in one of *texts*, with no letter or digit right before or behind it."""
        folded = [_folded(text) for text in texts if text]
        return all(any(pattern.search(text) for text in folded) for pattern in self._patterns)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [re.compile(rf"(?<![^\W_]){re.escape(_folded(part))}(?![^\W_])") for part in self.parts]


def read_words(text: str) -> Words:
    """Return the words of *text*, and what stands there in double quotes as it stands.

    What is around a word is no part of it: a question mark behind, a minus before. Raises `Unfit` if there is no
    letter and no digit in the text: only words are looked up.
    """
    parts = [phrase.strip() or _bare(word) for phrase, word in _PARTS.findall(text)]
    found = tuple(filter(_says_something, parts))
    if not found:
        raise Unfit("must hold a word: a letter or a digit")
    return Words(found)


def searched(word: str) -> str:
    """Return the text search for a word of `Words.single`."""
    # In quotes no sign in it is one of the search, and all of it must stand together; which takes longer to find.
    return word if word.isalnum() else f'"{word}"'


def _says_something(part: str) -> bool:
    return any(sign.isalnum() for sign in part)


def _bare(word: str) -> str:
    behind = "".join(dropwhile(_is_around, word))
    return "".join(dropwhile(_is_around, behind[::-1]))[::-1]


def _is_around(sign: str) -> bool:
    # Punctuation, symbols, blanks and controls; not the signs of vowels that some scripts write apart.
    return unicodedata.category(sign)[0] in "PSZC"


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(sign for sign in apart if unicodedata.category(sign) != "Mn")
