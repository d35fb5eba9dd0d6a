"""The header `Link`, well meant and otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.connectors.link_header import next_link

A, B = "https://api.example/a", "https://api.example/b"


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("", None),
        (" , ,", None),
        (f'<{A}>; rel="next"', A),
        (f"<{A}>;rel=next", A),
        (f'<{A}> ; REL = "NEXT"', A),
        (f'<{B}>; rel="prev", <{A}>; rel="next"', A),
        (f'<{B}>; rel="last",<{A}>; title="a, b; c"; rel="next"', A),
        (f'<{B}>; title="<x>; rel=\\"next\\""; rel="last", <{A}>; rel="next last"', A),
        (f'<{A}>; rel="last next"; rel="prev"', A),
        (f'<{A}>; rel="prev"; rel="next"', None),
        (f'<{A}>; rel="next", <{B}>; rel="next"', A),
        (f"<{A}>", None),
        (f'<{A}>; title="next"', None),
        (f'<{A}>; rel="nextish", <{B}>; rel="un-next"', None),
        (f'<{A}>; rel="next"; anchor="#other"', None),
        (f"<{A}>; rel", None),
        (f"<{A}>;;; rel=next;", A),
        (f"<{A}>; title*=UTF-8''caf%C3%A9; rel=next", A),
        ("<?page=2>; rel=next", "?page=2"),
        ("<>; rel=next", ""),
        ("< /a >; rel=next", "/a"),
        ("<https://api.example/a,b>; rel=next", "https://api.example/a,b"),
    ],
)
def test_the_first_link_that_is_the_next_one_counts(header: str, target: str | None) -> None:
    assert next_link(header) == target


@pytest.mark.parametrize(
    "header",
    [
        "https://api.example/a; rel=next",
        f"<{A}; rel=next",
        f'<{A}>; title="no end, <{B}>; rel=next',
        f"<{A}> rel=next",
        f"<{A}>; rel=prev <{B}>; rel=next",
        f"<{B}>; rel=prev, next page",
        f"<{A}>; rel=next" + " " * 20_000,
        "<" * 10_000,
        f'<{A}>; rel="prev"' * 500,
    ],
)
def test_a_header_that_can_not_be_read_is_not_taken_for_the_last_page(header: str) -> None:
    with pytest.raises(ValueError, match=r"link|list"):
        next_link(header)


def test_ten_thousand_signs_of_links_cost_one_look_at_each() -> None:
    header = f'<{A}>;a="' + '\\"' * 4_000 + '",' + f"<{B}>; rel=prev," * 200 + f"<{A}>; rel=next"

    assert next_link(header) == A


@given(st.text(alphabet='<>;,="\\ next rel\t?/a', max_size=60))
def test_no_header_raises_anything_else(header: str) -> None:
    try:
        target = next_link(header)
    except ValueError:
        return

    assert target is None or target in header


@given(
    target=st.text(alphabet=st.characters(codec="ascii", exclude_characters="<>"), min_size=1).map(str.strip),
    title=st.text(alphabet=st.characters(codec="ascii", exclude_characters='"\\')),
)
def test_what_is_written_by_the_grammar_is_read(target: str, title: str) -> None:
    header = f'<{B}>; rel="prev"; title="{title}", <{target}>; title="{title}"; rel="next"'

    assert next_link(header) == target
