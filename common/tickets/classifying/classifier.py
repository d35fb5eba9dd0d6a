"""A rule set, not understanding: what a message's words say about its urgency, its sentiment and what is asked.

What stands in `rules.toml` was made for English. A text of another language is neutral, of low or medium
urgency, and asks for something if it has a question mark; words that it shares with English count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from common.tickets.classifying.lexicon import END, Hit
from common.tickets.classifying.rules import RULES_FILE, read
from common.tickets.classifying.tokens import BREAKS, EXCLAMATIONS, QUESTIONS, tokens

_RULES = read(RULES_FILE.read_text(encoding="utf-8"))

VERSION: str = _RULES.version

UrgencyClass = Literal["low", "medium", "high"]
SentimentClass = Literal["negative", "neutral", "positive"]


@dataclass(frozen=True, slots=True)
class Classes:
    """What is computed of a ticket."""

    urgency: UrgencyClass
    sentiment: SentimentClass
    requires_action: bool


def classify(subject: str | None, message: str) -> Classes:
    """Say what the words of a ticket suggest; pure, the same for the same text under one `VERSION`.

    Reads the first 10,000 characters of both together, in time linear in them.
    """
    text = f"{subject}\n{message}" if subject else message
    text = text[: _RULES.examined_max_chars]
    same = _RULES.same
    words = [same.get(word, word) for word in tokens(text)]
    words.append(END)
    felt, pressing, asking = _RULES.lexicon.hits(words)
    sentiment = _sentiment(words, felt)
    loudness = 0 if sentiment == "positive" else _loudness(words, text)
    urgency = _urgency(words, pressing, loudness)
    return Classes(urgency, sentiment, _requires_action(words, asking, urgency))


def _sentiment(words: Sequence[str], hits: Sequence[Hit]) -> SentimentClass:
    """Average what was found with one more word that weighs nothing, so that a lone weak word says little."""
    weighty = [hit for hit in hits if hit.weight]
    if not weighty:
        return "neutral"
    rules = _RULES.sentiment
    turn = _last_turn(words)
    total = sum(_felt(words, hit) * (rules.factor_before_turn if hit.start < turn else 1) for hit in weighty)
    score = total / (len(weighty) + 1)
    if score <= rules.negative_to:
        return "negative"
    return "positive" if score >= rules.positive_from else "neutral"


def _felt(words: Sequence[str], hit: Hit) -> float:
    """Return the weight of *hit* with the degree and the negation before it."""
    weight: float = hit.weight
    for word in words[max(hit.free_from, hit.start - _RULES.sentiment.reach_of_degrees_words) : hit.start]:
        weight *= _RULES.degrees.get(word, 1)
    if _is_negated(words, hit, _RULES.negation.reach_of_sentiment_words):
        weight *= _RULES.negation.factor_of_sentiment
    return weight


def _last_turn(words: Sequence[str]) -> int:
    """Return the place of the last "but": what stands before it is what its writer takes back."""
    turns = _RULES.sentiment.turns
    if turns.isdisjoint(words):
        return 0
    return next(place for place in range(len(words) - 1, -1, -1) if words[place] in turns)


def _urgency(words: Sequence[str], hits: Sequence[Hit], loudness: int) -> UrgencyClass:
    rules = _RULES.urgency
    weights = _weights(words, hits, _RULES.negation.reach_of_urgency_words)
    minor = min(rules.minor_max, weights.count(1))
    points = loudness + minor + sum(weight for weight in weights if weight != 1)
    if points >= rules.high_from:
        return "high"
    return "medium" if points >= rules.medium_from else "low"


def _loudness(words: Sequence[str], text: str) -> int:
    """Return the points for capitals and exclamation marks; who is glad may shout, and is not asked."""
    rules = _RULES.urgency
    points = 0
    if "!" in text and sum(word in EXCLAMATIONS for word in words) >= rules.exclamations_min:
        points += rules.exclaiming
    shouted = sum(len(chunk) > 1 and chunk.isupper() for chunk in text.split())
    if shouted >= rules.shouted_words_min and shouted >= rules.shouted_share_min * len(words):
        points += rules.shouting
    return points


def _requires_action(words: Sequence[str], hits: Sequence[Hit], urgency: UrgencyClass) -> bool:
    rules = _RULES.action
    points = sum(_weights(words, hits, _RULES.negation.reach_of_action_words))
    if not QUESTIONS.isdisjoint(words):
        points += rules.question
    if urgency == "high":
        points += rules.high_urgency
    return points >= rules.required_from


def _weights(words: Sequence[str], hits: Sequence[Hit], reach: int) -> list[int]:
    """Return the weight of each phrase that was found, once, unless it is negated within *reach* words."""
    return list({hit.phrase: hit.weight for hit in hits if not _is_negated(words, hit, reach)}.values())


def _is_negated(words: Sequence[str], hit: Hit, reach: int) -> bool:
    """Look back for a negation in the same part of the sentence that is not itself part of another phrase."""
    for word in reversed(words[max(hit.free_from, hit.start - reach) : hit.start]):
        if word in BREAKS:
            return False
        if word in _RULES.negation.words:
            return True
    return False
