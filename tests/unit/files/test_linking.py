"""What a batch makes of a room's links."""

from datetime import UTC, datetime

from common.files.linking import NAMES_MAX, Linking

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def linking(**names: list[str]) -> Linking:
    links = {file_id: {"_id": f"link of {file_id}", "names": there} for file_id, there in names.items()}
    return Linking("room", links, by="somebody", at=NOW)


def test_a_file_that_is_new_in_the_room_gets_one_link_with_all_its_names() -> None:
    batch = linking()

    assert [batch.add("f", name) for name in ("a", "b", "a")] == [True, True, True]

    assert [one["names"] for one in batch.fresh.values()] == [["a", "b"]]
    assert batch.names == {}
    assert batch.told == [("f", "a"), ("f", "b")]


def test_a_file_that_is_there_gets_the_names_that_it_lacks() -> None:
    batch = linking(f=["a"])

    assert [batch.add("f", name) for name in ("a", "b")] == [True, True]

    assert batch.fresh == {}
    assert batch.names == {"link of f": ["b"]}
    assert batch.told == [("f", "b")]


def test_a_name_beyond_those_that_are_kept_is_refused_and_known_ones_are_not() -> None:
    full = [str(number) for number in range(NAMES_MAX)]
    batch = linking(f=full)

    assert (batch.add("f", "one too many"), batch.add("f", full[0])) == (False, True)
    assert (batch.names, batch.told) == ({}, [])
