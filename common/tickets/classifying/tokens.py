"""How a text is cut into words and signs, in one pass that is linear in its length."""

import re

_TOKEN = re.compile(
    r"""
      https?://\S+ | www\.\S+                 # an address: its words and its ? say nothing
    | \w+(?:'\w+)*(?:@\S+)?                   # a word; a mail address is one, that nobody looks up
    | [:;][-']?[()]                           # :-) and its like
    | [!?\uFF01\uFF1F\u061F\u00BF\u00A1]      # each by itself; the full-width, Arabic and Spanish ones, too
    | [.,;\n]                                 # where a negation ends
    | [\u2600-\u27BF\U0001F300-\U0001FAFF]    # a pictogram
    """,
    re.VERBOSE,
)
BREAKS = frozenset(".,;!?\n\uff01\uff1f\u061f\u00bf\u00a1")
QUESTIONS = frozenset("?\uff1f\u061f\u00bf")
EXCLAMATIONS = frozenset("!\uff01")


def tokens(text: str) -> list[str]:
    """Return the words and signs of *text*, in small letters and in their order."""
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))
