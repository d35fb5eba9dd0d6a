"""Who may do what in a room: each role against each operation, by a table of its own."""

from itertools import product

import pytest

from common.errors import Forbidden, NotFound
from common.files.rights import NEEDS, ROOM_ROLES, Operation, RoomRole, demand, may

MAY: dict[Operation, str] = {
    Operation.SHOW_ROOM: "viewer editor owner admin",
    Operation.CHANGE_ROOM: "owner admin",
    Operation.DELETE_ROOM: "owner admin",
    Operation.LIST_MEMBERS: "viewer editor owner admin",
    Operation.SET_MEMBER: "owner admin",
    Operation.REMOVE_MEMBER: "owner admin",
    Operation.LEAVE_ROOM: "viewer editor owner admin",
    Operation.LIST_FILES: "viewer editor owner admin",
    Operation.ADD_FILE: "editor owner admin",
    Operation.REMOVE_FILE: "editor owner admin",
    Operation.SHOW_FILE: "viewer editor owner admin",
    Operation.READ_FILE: "viewer editor owner admin",
    Operation.READ_AUDIT_LOG: "owner admin",
}
"""What is meant; a new operation has to get a row here, too."""

WHO: tuple[tuple[str, RoomRole | None, bool], ...] = (
    ("none", None, False),
    *((role, role, False) for role in ROOM_ROLES),
    ("admin", None, True),
)


def test_every_operation_has_its_row() -> None:
    assert set(MAY) == set(Operation) == set(NEEDS)


@pytest.mark.parametrize(("operation", "who"), product(Operation, WHO), ids=str)
def test_each_role_may_what_the_table_says(operation: Operation, who: tuple[str, RoomRole | None, bool]) -> None:
    name, role, is_admin = who

    assert may(role, operation, is_admin=is_admin) == (name in MAY[operation].split())


@pytest.mark.parametrize("role", ROOM_ROLES)
@pytest.mark.parametrize("operation", Operation)
def test_an_admin_of_the_organization_may_everything_whatever_their_role(
    operation: Operation, role: RoomRole
) -> None:
    assert may(role, operation, is_admin=True)


def test_a_role_may_what_those_before_it_may() -> None:
    for operation in Operation:
        allowed = [may(role, operation, is_admin=False) for role in ROOM_ROLES]
        assert allowed == sorted(allowed), operation


def test_who_is_in_the_room_learns_what_is_forbidden_and_who_is_not_that_there_is_nothing() -> None:
    with pytest.raises(Forbidden, match=r"Only an owner of a room may delete this room\."):
        demand("editor", Operation.DELETE_ROOM, is_admin=False, absent="There is nothing.")
    with pytest.raises(NotFound, match=r"There is nothing\."):
        demand(None, Operation.DELETE_ROOM, is_admin=False, absent="There is nothing.")


def test_the_table_is_shown() -> None:
    names = [name for name, _, _ in WHO]
    rows = [
        f"{operation.value:35}"
        + "".join(f"{'yes' if may(r, operation, is_admin=a) else '-':>8}" for _, r, a in WHO)
        for operation in Operation
    ]

    print("\n" + " " * 35 + "".join(f"{name:>8}" for name in names), *rows, sep="\n")

    assert len(rows) == len(MAY)
