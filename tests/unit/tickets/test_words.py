"""What is looked for: words without what is around them, found whole, whatever their case and accents."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.tickets.fields import Unfit
from common.tickets.words import SOUGHT_MAX_CHARS, read_words, searched

WORD = st.text(string.ascii_letters + string.digits + "äöüßéİσςł한", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("where is my order?", ("where", "is", "my", "order")),
        ('"call back" later', ("call back", "later")),
        ('"call back', ("call", "back")),
        ('call"back', ("call", "back")),
        ("-no +yes (maybe)", ("no", "yes", "maybe")),
        ('"-no"', ("-no",)),
        ("a-1001. ada@acme.example,", ("a-1001", "ada@acme.example")),
        ("- & order", ("order",)),
        ("$100 50% C++", ("100", "50", "C")),
        ("हिन्दी", ("हिन्दी",)),
        ("\u202eorder\x00", ("order",)),
    ],
)
def test_a_text_is_read_as_its_words(text: str, parts: tuple[str, ...]) -> None:
    assert read_words(text).parts == parts


@pytest.mark.parametrize("text", ["", " ", "!!!", '""', '"', '"?!"', "🏳", "\x00", "-"])
def test_a_text_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        read_words(text)


@pytest.mark.parametrize(
    ("q", "text", "is_there"),
    [
        ("order", "My ORDER.", True),
        ("order", "orders", False),
        ("order", "reorder", False),
        ("order", "order_1", True),
        ("cafe", "Café", True),
        ("CAFÉ", "cafe", True),
        ("strasse", "Straße", True),
        ("ΟΔΟΣ", "οδος", True),
        ('"my order"', "my  order", False),
        ('"my order"', "it is my order!", True),
        ('"my order"', "my orders", False),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
    ],
)
def test_a_word_is_found_whole_whatever_its_case_and_accents(q: str, text: str, *, is_there: bool) -> None:
    assert read_words(q).are_in([None, text]) == is_there


@given(st.lists(WORD, min_size=1, max_size=6), st.text(max_size=30))
def test_every_word_of_a_text_is_found_in_it_and_in_two_halves(words: list[str], more: str) -> None:
    q = " ".join(words)

    assert read_words(q).are_in([f"{more} {q} {more}"])
    assert read_words(q).are_in([" ".join(words[::2]), " ".join(words[1::2])])


@given(st.text(max_size=SOUGHT_MAX_CHARS))
def test_any_text_is_read_or_refused_and_none_of_its_signs_is_one_of_the_search(text: str) -> None:
    try:
        words = read_words(text)
    except Unfit:
        return
    assert words.single
    assert not any('"' in part for part in (*words.parts, *words.single))
    assert all(word.isalnum() or searched(word) == f'"{word}"' for word in words.single)
    words.are_in([text])
