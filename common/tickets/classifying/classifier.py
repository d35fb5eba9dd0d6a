"""A rule set, not understanding: what a message's words say about its urgency, its sentiment and what is asked.

What stands in `rules.toml` was made for English. A text of another language is neutral, of low or medium
urgency, and asks for something if it has a question mark; words that it shares with English count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from common.tickets.classifying.lexicon import END, Hit, Hits
from common.tickets.classifying.rules import RULES_FILE, Reach, read
from common.tickets.classifying.tokens import BREAKS, EXCLAMATIONS, LINE_END, QUESTIONS, tokens

_RULES = read(RULES_FILE.read_text(encoding="utf-8"))
_STOPS = BREAKS | _RULES.negation.words

VERSION: str = _RULES.version

UrgencyClass = Literal["low", "medium", "high"]
SentimentClass = Literal["negative", "neutral", "positive"]


@dataclass(frozen=True, slots=True)
class Classes:
    """What is computed of a ticket."""

    urgency: UrgencyClass
    sentiment: SentimentClass
    requires_action: bool


_classes = cache(Classes)
"""There are twelve, so each is made once."""


def classify(subject: str | None, message: str) -> Classes:
    """Say what the words of a ticket suggest; pure, the same for the same text under one `VERSION`.

    Reads the first 10,000 characters of both together, in time linear in them.
    """
    text = (f"{subject}\n{message}" if subject else message)[: _RULES.examined_max_chars]
    same = _RULES.same
    words = (*[same.get(word, word) for word in _tokens(subject, message)], END)
    found = _RULES.lexicon.hits(words)
    if not _RULES.negation.words.isdisjoint(words):
        found = _heed_negations(words, found)
    felt, pressing, asking = found
    sentiment = _sentiment(words, felt)
    urgency = _urgency(pressing, 0 if sentiment == "positive" else _loudness(words, text))
    return _classes(urgency, sentiment, _requires_action(words, asking, urgency))


def _tokens(subject: str | None, message: str) -> tuple[str, ...]:
    """Return those of the first 10,000 characters; each text's own, so that they need not be found again."""
    if not subject:
        return tokens(message[: _RULES.examined_max_chars])
    subject = subject[: _RULES.examined_max_chars]
    rest = max(0, _RULES.examined_max_chars - len(subject) - len("\n"))
    return (*tokens(subject), LINE_END, *tokens(message[:rest]))


def _heed_negations(words: Sequence[str], found: Hits) -> Hits:
    felt, pressing, asking = found
    rules = _RULES.negation
    return (
        [_negated(words, hit, rules.sentiment) for hit in felt],
        [_negated(words, hit, rules.urgency) for hit in pressing],
        [_negated(words, hit, rules.action) for hit in asking],
    )


def _negated(words: Sequence[str], hit: Hit, reach: Reach) -> Hit:
    """Return *hit* as a negation before it leaves it, in the same part of the sentence and in no other phrase."""
    phrase, weight, start, free_from = hit
    for word in reversed(words[max(free_from, start - reach.words) : start]):
        if word in _STOPS:
            return hit if word in BREAKS else (phrase, weight * reach.factor, start, free_from)
    return hit


def _sentiment(words: Sequence[str], hits: Sequence[Hit]) -> SentimentClass:
    """Average what was found with one more word that weighs nothing, so that a lone weak word says little."""
    turn = _last_turn(words)
    weights = [_felt(words, hit, turn) for hit in hits if hit[1]]
    score = sum(weights) / (len(weights) + 1)
    if score <= _RULES.sentiment.negative_to:
        return "negative"
    return "positive" if score >= _RULES.sentiment.positive_from else "neutral"


def _felt(words: Sequence[str], hit: Hit, turn: int) -> float:
    """Return the weight of *hit* with the degree before it, and less if it stands before the *turn*."""
    _, weight, start, free_from = hit
    rules = _RULES.sentiment
    for word in words[max(free_from, start - rules.reach_of_degrees_words) : start]:
        weight *= _RULES.degrees.get(word, 1)
    return weight * rules.factor_before_turn if start < turn else weight


def _last_turn(words: Sequence[str]) -> int:
    """Return the place of the last "but": what stands before it is what its writer takes back."""
    turns = _RULES.sentiment.turns
    if turns.isdisjoint(words):
        return 0
    return next(place for place in range(len(words) - 1, -1, -1) if words[place] in turns)


def _urgency(hits: Sequence[Hit], loudness: int) -> UrgencyClass:
    rules = _RULES.urgency
    weights = _each_once(hits)
    minor = min(rules.minor_max, weights.count(1))
    points = loudness + minor + sum(weight for weight in weights if weight != 1)
    if points >= rules.high_from:
        return "high"
    return "medium" if points >= rules.medium_from else "low"


def _loudness(words: Sequence[str], text: str) -> int:
    """Return the points for capitals and exclamation marks; nobody asks this of who is glad."""
    rules = _RULES.urgency
    points = 0
    if sum(map(text.count, EXCLAMATIONS)) >= rules.exclamations_min:
        points += rules.exclaiming
    shouted = len([chunk for chunk in text.split() if chunk.isupper() and len(chunk) > 1])
    if shouted >= rules.shouted_words_min and shouted >= rules.shouted_share_min * len(words):
        points += rules.shouting
    return points


def _requires_action(words: Sequence[str], hits: Sequence[Hit], urgency: UrgencyClass) -> bool:
    rules = _RULES.action
    points = sum(_each_once(hits))
    if not QUESTIONS.isdisjoint(words):
        points += rules.question
    if urgency == "high":
        points += rules.high_urgency
    return points >= rules.required_from


def _each_once(hits: Sequence[Hit]) -> list[float]:
    """Return what each phrase weighs that was found; said again, it says no more."""
    return list({phrase: weight for phrase, weight, _, _ in hits}.values())
