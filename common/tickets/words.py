"""What somebody looks for, as MongoDB's text search takes it: words that must all be there, and nothing else.

Left to itself that search finds tickets that have any of the words, and takes a minus before one to forbid it.
"""

import re
import unicodedata
from itertools import dropwhile

from common.tickets.fields import Unfit

SOUGHT_MAX_CHARS = 200
_PARTS = re.compile(r'"([^"]*)"|([^\s"]+)')


def sought(text: str) -> str:
    """Return the search for every word of *text*, and for what stands there in double quotes as it stands.

    What is around a word is no part of it: a question mark behind, a minus before. Raises `Unfit` if there is no
    letter and no digit in the text: only words are looked up.
    """
    parts = [phrase or _bare(word) for phrase, word in _PARTS.findall(text)]
    words = [part for part in parts if any(sign.isalnum() for sign in part)]
    if not words:
        raise Unfit("must hold a word: a letter or a digit")
    return " ".join(f'"{word}"' for word in words)


def _bare(word: str) -> str:
    behind = "".join(dropwhile(_is_around, word))
    return "".join(dropwhile(_is_around, behind[::-1]))[::-1]


def _is_around(sign: str) -> bool:
    # Punctuation, symbols, blanks and controls; not the signs of vowels that some scripts write apart.
    return unicodedata.category(sign)[0] in "PSZC"
