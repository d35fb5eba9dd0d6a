"""The rule set as data: what is refused when it is read, and that a version's rules stay as they are."""

import hashlib
import json
import tomllib
from typing import Any

import pytest

from common.tickets.classifying.classifier import VERSION
from common.tickets.classifying.lexicon import ACTION, END, SENTIMENT, URGENCY, Lexicon
from common.tickets.classifying.rules import RULES_FILE, WORDS_MAX, read

CONTENT = {"rules-1": "7e562920ff8ad454"}
"""A digest of each version without its comments. Tickets name their version, so other rules need another one."""

SMALL = """
version = "rules-7"
examined_max_chars = 1000
[same]
not = ["don't"]
[groups]
WHO = ["you", "they"]
BOTH = ["{WHO} and {WHO|i}"]
[negation]
words = ["not"]
sentiment = {words = 3, factor = -0.5}
urgency = {words = 3, factor = 0}
action = {words = 1, factor = 0}
[degrees]
"1.5" = ["very"]
[sentiment]
negative_to = -0.3
positive_from = 0.3
reach_of_degrees_words = 2
turns = ["but"]
factor_before_turn = 0.5
[sentiment.phrases]
2 = ["good"]
[urgency]
medium_from = 1
high_from = 3
minor_max = 2
shouting = 1
shouted_words_min = 3
shouted_share_min = 0.5
exclaiming = 1
exclamations_min = 2
[urgency.phrases]
3 = ["stolen"]
[action]
required_from = 1
question = 1
high_urgency = 1
[action.phrases]
1 = ["can {WHO}", "{BOTH}"]
"""


def test_a_version_s_rules_stay_as_they_are() -> None:
    rules: dict[str, Any] = tomllib.loads(RULES_FILE.read_text(encoding="utf-8"))

    content = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]

    assert CONTENT.get(VERSION) == content, "give the rules a new version, see docs/classification.md"


def test_the_rules_are_read() -> None:
    found = read(RULES_FILE.read_text(encoding="utf-8"))

    assert found.version == VERSION
    assert max(map(len, found.lexicon.weights)) <= WORDS_MAX
    assert ("stolen",) in found.lexicon.weights


def test_groups_and_alternatives_are_written_out() -> None:
    found = read(SMALL)

    asked = {" ".join(phrase) for phrase, said in found.lexicon.weights.items() if said[0][0] == ACTION}
    both = {f"{one} and {other}" for one in ("you", "they") for other in ("you", "they", "i")}
    assert asked == {"can you", "can they", *both}


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("[degrees]", "[degrees", "Expected"),
        ('version = "rules-7"', 'version = "new"', "version"),
        ("examined_max_chars = 1000", "", "examined_max_chars"),
        ("examined_max_chars = 1000", "examined_chars = 1000", "examined_chars"),
        ('2 = ["good"]', '4 = ["good"]', "less than or equal to 3"),
        ('2 = ["good"]', 'many = ["good"]', "integer"),
        ('2 = ["good"]', '2 = ["good"]\n1 = ["good"]', "listed twice"),
        ('2 = ["good"]', '2 = ["Good"]', "never be found"),
        ('2 = ["good"]', '2 = ["good  man"]', "never be found"),
        ('2 = ["good"]', '2 = [""]', "never be found"),
        ('2 = ["good"]', '2 = ["a b c d e f g h i"]', "never be found"),
        ('2 = ["good"]', '2 = ["{NOBODY}"]', "never be found"),
        ('2 = ["good"]', '2 = ["we don\'t"]', "is read as 'not'"),
        ('2 = ["good"]', '2 = ["{BOTH} {BOTH} {BOTH} {BOTH}"]', "stands for more than"),
        ('WHO = ["you", "they"]', 'who = ["you"]', "who"),
        ("high_from = 3", "high_from = 1", "high_from"),
        ("medium_from = 1\nhigh_from = 3", "medium_from = 3\nhigh_from = 3", "must be above"),
        ("negative_to = -0.3", "negative_to = 0.3", "negative_to"),
        ("factor = -0.5", "factor = -5", "factor"),
    ],
)
def test_rules_that_can_not_be_meant_are_refused_with_what_is_wrong(right: str, wrong: str, why: str) -> None:
    assert right in SMALL

    with pytest.raises(ValueError, match=why):
        read(SMALL.replace(right, wrong, 1))


def test_the_longest_phrase_wins_on_each_scale_by_itself() -> None:
    lexicon = Lexicon.of(
        [
            (("lost",), SENTIMENT, -1),
            (("lost", "card"), URGENCY, 3),
            (("card",), URGENCY, 1),
            (("card",), SENTIMENT, 1),
        ]
    )

    felt, pressing, asking = lexicon.hits(("lost", "card", END))

    assert [(phrase, weight) for phrase, weight, _, _ in felt] == [(("lost",), -1), (("card",), 1)]
    assert [(phrase, weight) for phrase, weight, _, _ in pressing] == [(("lost", "card"), 3)]
    assert asking == []


def test_a_phrase_at_the_end_that_is_not_whole_is_not_found() -> None:
    lexicon = Lexicon.of([(("lost", "my", "card"), URGENCY, 3)])

    assert lexicon.hits(("lost", "my", END)) == ([], [], [])


def test_a_place_costs_a_look_up_for_each_length_at_most() -> None:
    lengths = read(RULES_FILE.read_text(encoding="utf-8")).lexicon.lengths

    assert max(len(some) for by_second in lengths.values() for some in by_second.values()) <= WORDS_MAX
