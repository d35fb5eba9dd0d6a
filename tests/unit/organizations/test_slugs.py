"""Slugs: what can be one, and what is made of a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.organizations.slugs import NAME_MAX_CHARS, RESERVED_SLUGS, SLUG, is_free_to_ask, slug_of


@pytest.mark.parametrize("slug", ["ab", "a1", "42", "a-b", "acme-inc", "a" * 39, "-".join("a" * 39)])
def test_short_words_with_single_hyphens_are_slugs(slug: str) -> None:
    assert is_free_to_ask(slug)


@pytest.mark.parametrize(
    "slug",
    [
        *(
            "",
            "a",
            "-a",
            "a-",
            "a--b",
            "A1",
            "acme inc",
            "acme_inc",
            "acme.inc",
            "acme\n",
            "acme\x00",
            "\u0430cme",
        ),
        *("a" * 40, "-".join("a" * 40), "../etc", "$ne", "*", "a/b", "acm\u00e9", "\uff41\uff42", "a" * 1_000_000),
        *sorted(RESERVED_SLUGS),
    ],
)
def test_anything_else_is_none(slug: str) -> None:
    assert not is_free_to_ask(slug)


def test_each_reserved_word_would_be_a_slug_but_for_being_reserved() -> None:
    assert all(SLUG.match(word) for word in RESERVED_SLUGS)
    assert "platform" in RESERVED_SLUGS


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme", "acme"),
        ("Acme, Inc.", "acme-inc"),
        ("  Zo\u00eb & S\u00f8nner  ", "zoe-snner"),
        ("\uff21\uff22\uff23", "abc"),
        ("a" * 200, "a" * 39),
        ("ab " * 100, "ab-" * 12 + "ab"),
        ("Admin", None),
        ("x", None),
        ("\u65e5\u672c", None),
        ("", None),
        ("---", None),
    ],
)
def test_a_slug_is_made_of_a_name_where_one_can_be(name: str, slug: str | None) -> None:
    assert slug_of(name) == slug


@given(st.text(max_size=NAME_MAX_CHARS))
def test_whatever_the_name_its_slug_can_be_asked_for(name: str) -> None:
    slug = slug_of(name)

    assert slug is None or is_free_to_ask(slug)
