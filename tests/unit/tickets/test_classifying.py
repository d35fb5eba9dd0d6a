# ruff: noqa: RUF001 (look-alike letters of other scripts are what is tried)
"""What the words of a message say; each text is made up here."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tickets.classifying.classifier import Classes, classify

EXAMINED_CHARS = 10_000
BIG_LIST = Path(__file__).parents[4] / "shared" / "data" / "hostile" / "strings"
REPEATED = (
    *(
        "a",
        "not ",
        "very ",
        "but ",
        "unable to ",
        "good ",
        "stolen ",
        "help ",
        "!",
        "?",
        "'",
        "a'",
        "A ",
        "A1 ",
        "@",
    ),
    *(
        "a@",
        "www.",
        "://",
        ":-",
        ":)",
        "😡",
        "é",
        "x" * 50 + " ",
        "not yet been ",
        "I would like ",
        ".,",
        "\n",
        "\0",
    ),
)


@pytest.mark.parametrize(
    "message",
    [
        "My card was stolen an hour ago",
        "I can't log in and nobody picks up",
        "I can’t sign in to the portal",
        "We are unable to log in since Monday",
        "Your whole site is down",
        "There has been fraud on my account",
        "Please call me back urgently",
        "Need this fixed, our deadline is today, please fix it now!",
        "SOMEBODY HAS TAKEN MY PHONE AND IS USING IT, NO MONEY LEFT!!",
    ],
)
def test_what_can_not_wait_is_of_high_urgency_and_requires_action(message: str) -> None:
    found = classify(None, message)

    assert found.urgency == "high"
    assert found.requires_action


@pytest.mark.parametrize(
    "message",
    [
        "The export is broken",
        "My parcel has not arrived",
        "I was charged twice",
        "The total is wrong",
        "It stopped working",
    ],
)
def test_what_does_not_go_as_it_should_is_of_medium_urgency_and_requires_action(message: str) -> None:
    found = classify(None, message)

    assert found.urgency == "medium"
    assert found.requires_action


@pytest.mark.parametrize(
    "message",
    [
        "What are your opening hours?",
        "This is not urgent",
        "It is not an emergency.",
        "We have never had any problems",
        "THANK YOU SO MUCH, THIS IS WONDERFUL!!!",
        "I am out of office. In urgent matters ask my colleague",
        "Nothing was stolen",
    ],
)
def test_what_can_wait_is_of_low_urgency(message: str) -> None:
    assert classify(None, message).urgency == "low"


def test_who_is_in_no_hurry_lowers_the_urgency_of_what_is_reported() -> None:
    hurried = classify(None, "The report is broken, I cannot open it")
    patient = classify(None, "No rush, but the report is broken, I cannot open it")

    assert (hurried.urgency, patient.urgency) == ("medium", "low")


def test_many_small_reasons_make_no_large_one() -> None:
    found = classify(None, "There is an error, a bug, a crash, a delay, a problem and a failure, and it is late.")

    assert found.urgency == "medium"


def test_shouting_makes_a_report_more_urgent() -> None:
    spoken = classify(None, "the refund has failed and is late")
    shouted = classify(None, "THE REFUND HAS FAILED AND IS LATE")

    assert (spoken.urgency, shouted.urgency) == ("medium", "high")


@pytest.mark.parametrize(
    "message",
    [
        "I am very disappointed",
        "The driver was rude and the food was cold",
        "This is not good",
        "it isn't helpful at all",
        "Not happy with how this was handled",
        "Thanks for nothing.",
        "Still no reply after two weeks",
        "I liked the old one, but this one is terrible",
        "👎",
    ],
)
def test_dissatisfaction_is_negative(message: str) -> None:
    assert classify(None, message).sentiment == "negative"


@pytest.mark.parametrize(
    "message",
    [
        "Great service, thank you!",
        "Not bad at all",
        "I can't complain",
        "We never had a problem with you",
        "Delivery was slow, but the people were lovely and so helpful",
        "I cannot recommend this enough",
        "It works like a charm :)",
        "❤️",
    ],
)
def test_satisfaction_is_positive(message: str) -> None:
    assert classify(None, message).sentiment == "positive"


@pytest.mark.parametrize(
    "message",
    [
        "Good morning, where do I find the invoice? Thank you",
        "Hi, I would like to know the best way to top up. Kind regards",
        "It would be great if you could add a dark mode.",
        "Please send me the contract",
        "How fast is a transfer?",
        "The meeting is on Monday.",
    ],
)
def test_politeness_and_plain_questions_are_neutral(message: str) -> None:
    assert classify(None, message).sentiment == "neutral"


def test_a_negation_ends_with_its_part_of_the_sentence() -> None:
    assert classify(None, "It does not. Great people").sentiment == "positive"
    assert classify(None, "No, excellent").sentiment == "positive"


def test_a_negation_reaches_over_three_words() -> None:
    assert classify(None, "not one of good").sentiment == "negative"
    assert classify(None, "not one of them a good").sentiment == "positive"


@pytest.mark.parametrize(
    "message",
    [
        "Can you send it again",
        "how do I change my name",
        "I want a refund",
        "Please close the account",
        "Is this normal?",
        "これは普通ですか？",
        "¿Es normal",
        "We need an offer for 20 seats",
        "There is a payment that I do not recognise",
    ],
)
def test_requests_and_questions_require_action(message: str) -> None:
    assert classify(None, message).requires_action


@pytest.mark.parametrize(
    "message",
    [
        "Just wanted to say thanks",
        "FYI we have moved, no action needed",
        "Never mind, I figured it out",
        "Please ignore my last mail",
        "I don't need help",
        "Thank you for your help",
        "It has been resolved",
        "It came from help@example.com, see https://example.com/can?you=please",
    ],
)
def test_what_asks_for_nothing_requires_no_action(message: str) -> None:
    assert not classify(None, message).requires_action


@pytest.mark.parametrize(
    "message",
    [
        "Mein Paket ist noch nicht angekommen.",
        "Je voudrais changer mon adresse.",
        "Quiero cambiar mi contraseña",
        "注文がまだ届いていません。",
        "Я не могу войти в аккаунт.",
        "لم يصل طلبي بعد",
    ],
)
def test_another_language_says_nothing_that_is_understood(message: str) -> None:
    assert classify(None, message) == Classes("low", "neutral", requires_action=False)


def test_the_subject_counts_like_the_message() -> None:
    assert classify("My card was stolen", "See above.") == classify(None, "My card was stolen\nSee above.")


def test_a_phrase_does_not_go_from_the_subject_on_into_the_message() -> None:
    assert classify("I was not", "happy").sentiment == "positive"


@pytest.mark.parametrize("subject", [None, ""])
@pytest.mark.parametrize("message", ["", " ", "\0", "12345", "----", "\u200b", "\U0010ffff", "'", "!", "…"])
def test_a_text_without_words_is_of_low_urgency_and_neutral(subject: str | None, message: str) -> None:
    assert classify(subject, message) == Classes("low", "neutral", requires_action=False)


@pytest.mark.parametrize("part", REPEATED)
def test_the_same_over_and_over_is_classified(part: str) -> None:
    text = part * (EXAMINED_CHARS // len(part))

    assert classify(text, text) == classify(None, text)


@pytest.mark.parametrize("word", ["soon", "please", "stolen", "thanks", "never mind"])
def test_a_word_said_again_says_no_more_of_urgency_or_action(word: str) -> None:
    once, often = classify(None, f"{word} "), classify(None, f"{word} " * 1_000)

    assert (once.urgency, once.requires_action) == (often.urgency, often.requires_action)


@given(st.text(max_size=200), st.text(max_size=200))
def test_what_comes_after_10000_characters_is_not_read(begin: str, more: str) -> None:
    examined = (begin * EXAMINED_CHARS + "x" * EXAMINED_CHARS)[:EXAMINED_CHARS]

    assert classify(None, examined + more) == classify(None, examined)


@given(st.none() | st.text(), st.text())
def test_any_text_has_its_classes_each_time_the_same(subject: str | None, message: str) -> None:
    found = classify(subject, message)

    assert found.urgency in {"low", "medium", "high"}
    assert found.sentiment in {"negative", "neutral", "positive"}
    assert found == classify(subject, message)


@pytest.mark.skipif(not BIG_LIST.is_dir(), reason="the strings that break things are not here")
def test_strings_that_break_things_break_nothing() -> None:
    paths = [path for path in BIG_LIST.rglob("*") if path.is_file()]
    lines = [line for path in paths for line in path.read_text("utf-8", errors="replace").split("\n")]

    for line in lines:
        classify(line, line)

    assert lines


@given(
    st.text(min_size=1), st.text(), st.sampled_from([0, EXAMINED_CHARS - 100, EXAMINED_CHARS, 2 * EXAMINED_CHARS])
)
def test_a_subject_is_the_first_line_of_the_text(subject: str, message: str, filled: int) -> None:
    message = "x" * filled + message

    assert classify(subject, message) == classify(None, f"{subject}\n{message}")
