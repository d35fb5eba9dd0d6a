"""How a text is cut into words and signs: by its spaces, and what is then no plain word by a pattern."""

import re
from functools import lru_cache

# Each sign of a question or a call by itself, also the full-width, Arabic and Spanish ones; a quote within a word
# belongs to it; faces like :-) and pictograms are words. No repetition stands in another: linear in any text.
_TOKEN = re.compile(
    r"\w+'?\w+|\w|[:;][-']?[()]|[!?.,;\uFF01\uFF1F\u061F\u00BF\u00A1]|[\u2600-\u27BF\U0001F300-\U0001FAFF]"
)
_ADDRESS = ""
BREAKS = frozenset(".,;!?\uff01\uff1f\u061f\u00bf\u00a1")
QUESTIONS = frozenset("?\uff1f\u061f\u00bf")
EXCLAMATIONS = "!\uff01"


LINE_END = "."


@lru_cache(maxsize=4)
def tokens(text: str) -> tuple[str, ...]:
    """Return the words and signs of *text*, in small letters and in their order.

    A line's end is a full stop. An address of the web or of mail is one word that no phrase has. The last texts
    are remembered, since those of a ticket are read for its classes and for its keywords.
    """
    found: list[str] = []
    for chunk in text.lower().replace("\n", f" {LINE_END} ").replace("\u2019", "'").split():
        if chunk.isalpha():
            found.append(chunk)
        elif "@" in chunk or "://" in chunk or chunk.startswith("www."):
            found.append(_ADDRESS)
        else:
            found += _TOKEN.findall(chunk)
    return tuple(found)
