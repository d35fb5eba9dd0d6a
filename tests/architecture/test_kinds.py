"""Every kind of job has one handler and a consumer, and survives the wire."""

import ast
import dataclasses
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.jobs.kind import KINDS, Job, decode, discover, encode, queues
from workers import runner

discover()
runner.discover()
ROOT = Path(__file__).parents[2]
OURS = sorted(name for name in KINDS if not name.startswith(("probe.", "bench.")))


@pytest.mark.parametrize("name", OURS)
def test_each_kind_has_exactly_one_handler(name: str) -> None:
    assert [kind for kind in runner.HANDLERS if kind.name == name] == [KINDS[name]]


def test_each_handler_is_of_a_registered_kind() -> None:
    assert {kind.name for kind in runner.HANDLERS} <= set(KINDS)


@pytest.mark.parametrize("name", OURS)
def test_a_kind_and_its_handler_have_the_same_path_suffix(name: str) -> None:
    kind = KINDS[name]
    suffix = kind.__module__.removeprefix("common.")

    assert runner.HANDLERS[kind].__module__ == f"workers.{suffix}"


@pytest.mark.parametrize("name", OURS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_each_kind_survives_the_wire(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    job = data.draw(st.builds(kind))

    assert decode(kind, encode(job)) == job


@pytest.mark.parametrize("name", OURS)
def test_the_hard_limit_of_a_kind_leaves_room_after_the_soft_one(name: str) -> None:
    terms = KINDS[name].terms

    assert 0 < terms.soft_time_limit_s < terms.time_limit_s


def test_a_kind_is_a_frozen_value() -> None:
    for name in OURS:
        assert dataclasses.is_dataclass(KINDS[name])
        assert KINDS[name].__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_two_classes_can_not_share_a_kind() -> None:
    class First(Job, name="test.twice", queue="tickets"):
        """One."""

    with pytest.raises(TypeError, match=r"test\.twice"):

        class Second(Job, name="test.twice", queue="tickets"):
            """Another."""

    del KINDS["test.twice"]
    del First


def test_nothing_but_its_own_files_names_a_kind_of_job() -> None:
    """Adding a kind edits no file: no list of kinds is kept anywhere by hand."""
    for name in OURS:
        here = [path for path in _sources() if name in _strings(path)]
        suffix = KINDS[name].__module__.removeprefix("common.").replace(".", "/")

        assert all(suffix in path.as_posix() for path in here), (name, here)


def test_there_is_a_queue_for_every_kind() -> None:
    assert {KINDS[name].terms.queue for name in OURS} <= set(queues())


def _sources() -> list[Path]:
    return [path for part in ("common", "web", "workers") for path in (ROOT / part).rglob("*.py")]


@cache
def _strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
