"""The rule set: what `rules.toml` says, checked as a whole and made ready for look-ups."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.tickets.classifying.lexicon import ACTION, SENTIMENT, URGENCY, Entry, Lexicon, Phrase, Scale
from common.tickets.classifying.tokens import tokens

RULES_FILE = Path(__file__).with_name("rules.toml")
WORDS_MAX = 8
"""Of a phrase; what a place in a text can cost depends on it."""
ALTERNATIVES_MAX = 500
"""Of one entry, once its braces are written out."""
_BRACES = re.compile(r"\{([^{}]+)\}")

Weight = Annotated[int, Field(ge=-3, le=3)]
Points = Annotated[int, Field(ge=-3, le=3)]
Factor = Annotated[float, Field(ge=-2, le=2)]
GroupName = Annotated[str, Field(pattern=r"^[A-Z_]+$")]
"""Capitals, so that no word of a phrase is taken for one."""
Version = Annotated[str, Field(pattern=r"^rules-[1-9][0-9]{0,5}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reach(_Part):
    """How many words a negation reaches over, and what becomes of a weight there."""

    words: int = Field(ge=1, le=WORDS_MAX)
    factor: Factor


class Negation(_Part):
    """Words that turn what follows them round, on each scale in its own way."""

    words: frozenset[str]
    sentiment: Reach
    urgency: Reach
    action: Reach


class Sentiment(_Part):
    """Where the scale is cut, and what stands on it."""

    negative_to: float = Field(ge=-3, lt=0)
    positive_from: float = Field(gt=0, le=3)
    reach_of_degrees_words: int = Field(ge=1, le=WORDS_MAX)
    turns: frozenset[str]
    factor_before_turn: Factor
    phrases: Mapping[Weight, list[str]]


class Urgency(_Part):
    """Where the scale is cut, and what stands on it."""

    medium_from: int = Field(ge=1, le=10)
    high_from: int = Field(ge=2, le=10)
    minor_max: int = Field(ge=1, le=10)
    shouting: Points
    shouted_words_min: int = Field(ge=1)
    shouted_share_min: float = Field(gt=0, le=1)
    exclaiming: Points
    exclamations_min: int = Field(ge=1)
    phrases: Mapping[Points, list[str]]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.high_from <= self.medium_from:
            raise ValueError("high_from must be above medium_from")
        return self


class Action(_Part):
    """From where something is to be done, and what speaks for it or against it."""

    required_from: int = Field(ge=1, le=10)
    question: Points
    high_urgency: Points
    phrases: Mapping[Points, list[str]]


class _File(_Part):
    version: Version
    examined_max_chars: int = Field(ge=100, le=100_000)
    groups: Mapping[GroupName, list[str]]
    same: Mapping[str, list[str]]
    negation: Negation
    degrees: Mapping[Factor, list[str]]
    sentiment: Sentiment
    urgency: Urgency
    action: Action


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule set that is ready for use."""

    version: str
    examined_max_chars: int
    same: Mapping[str, str]
    negation: Negation
    degrees: Mapping[str, float]
    sentiment: Sentiment
    urgency: Urgency
    action: Action
    lexicon: Lexicon


def read(text: str) -> Rules:
    """Check the TOML *text* of a rule set and make it ready.

    Raises `ValueError` that names what is wrong: no TOML, an unknown or missing setting, a weight off its
    scale, a phrase that stands twice or could never be found.
    """
    file = _File.model_validate(tomllib.loads(text))
    same = {word: target for target, words in file.same.items() for word in words}
    groups: dict[str, list[str]] = {}
    for name, entries in file.groups.items():
        groups[name] = [one for entry in entries for one in _written_out(entry, groups)]
    return Rules(
        version=file.version,
        examined_max_chars=file.examined_max_chars,
        same=same,
        negation=file.negation,
        degrees={word: factor for factor, words in file.degrees.items() for word in words},
        sentiment=file.sentiment,
        urgency=file.urgency,
        action=file.action,
        lexicon=Lexicon.of(
            [
                *_entries(SENTIMENT, file.sentiment.phrases, groups, same),
                *_entries(URGENCY, file.urgency.phrases, groups, same),
                *_entries(ACTION, file.action.phrases, groups, same),
            ]
        ),
    )


def _entries(
    scale: Scale, listed: Mapping[int, list[str]], groups: Mapping[str, list[str]], same: Mapping[str, str]
) -> list[Entry]:
    found: dict[Phrase, Entry] = {}
    for weight, lines in listed.items():
        for text in (one for line in lines for one in _written_out(line, groups)):
            phrase = _phrase(text, same)
            if phrase in found:
                raise ValueError(f"{text!r} is listed twice")
            found[phrase] = (phrase, scale, weight)
    return list(found.values())


def _written_out(entry: str, groups: Mapping[str, list[str]]) -> list[str]:
    """Replace each `{one|another|GROUP}` by every one of its alternatives."""
    parts = _BRACES.split(entry)
    choices = [_choices(part, groups) if number % 2 else [part] for number, part in enumerate(parts)]
    if prod(map(len, choices)) > ALTERNATIVES_MAX:
        raise ValueError(f"{entry!r} stands for more than {ALTERNATIVES_MAX} phrases")
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(braces: str, groups: Mapping[str, list[str]]) -> list[str]:
    return [one for part in braces.split("|") for one in groups.get(part, [part])]


def _phrase(text: str, same: Mapping[str, str]) -> Phrase:
    words = tokens(text)
    if not words or " ".join(words) != text or len(words) > WORDS_MAX:
        raise ValueError(f"{text!r} could never be found: 1 to {WORDS_MAX} words in small letters, single spaces")
    changed = [word for word in words if word in same]
    if changed:
        raise ValueError(f"{text!r} could never be found: {changed[0]!r} is read as {same[changed[0]]!r}")
    return tuple(words)
