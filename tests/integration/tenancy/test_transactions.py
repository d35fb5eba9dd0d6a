"""Transactions of a scope and of the control plane: all or nothing, again after a conflict, and never for ever."""

import threading
import time
from typing import Any

import pymongo
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import InvalidOperation, PyMongoError

from common.ids import new_id
from common.tenancy import control as control_module
from common.tenancy.control import ControlPlane
from common.tenancy.safety import Unsafe
from common.tenancy.scope import OrgScope
from common.tickets.counting.collections import DELTAS
from tests.integration.tenancy.conftest import EACH_HAS, THINGS, Pool


def thing(name: str) -> dict[str, Any]:
    """Return a thing of that id."""
    return {"_id": name, "natural_key": name}


def test_a_transaction_writes_all_or_nothing(pool: Pool) -> None:
    def work(scope: OrgScope) -> None:
        scope[THINGS].insert_many([thing("a"), thing("b")])
        scope[THINGS].delete_one({"_id": pool.our_ids[0]})
        raise KeyError

    with pytest.raises(KeyError):
        pool.scope.transaction(work)

    assert [one["_id"] for one in pool.ours()] == list(pool.our_ids)


def test_a_transaction_reads_what_it_wrote_and_nobody_else_does(pool: Pool) -> None:
    def work(scope: OrgScope) -> tuple[int, int]:
        scope[THINGS].insert_one(thing("a"))
        return scope[THINGS].count_documents(), pool.mine.count_documents()

    assert pool.scope.transaction(work) == (EACH_HAS + 1, EACH_HAS)
    assert pool.mine.count_documents() == EACH_HAS + 1


def test_a_transaction_in_a_transaction_joins_it(pool: Pool) -> None:
    def outer(scope: OrgScope) -> None:
        scope.transaction(lambda inner: inner[THINGS].insert_one(thing("a")))
        raise KeyError

    with pytest.raises(KeyError):
        pool.scope.transaction(outer)

    assert len(pool.ours()) == EACH_HAS


def test_a_conflict_runs_the_work_again(pool: Pool) -> None:
    pool.mine.insert_one({**thing("counter"), "n": 0})
    together = threading.Barrier(4)

    def add(scope: OrgScope) -> None:
        found = scope[THINGS].find_one({"_id": "counter"})
        assert found is not None
        scope[THINGS].update_one({"_id": "counter"}, {"$set": {"n": found["n"] + 1}})

    def add_five_times() -> None:
        together.wait()
        for _ in range(5):
            pool.scope.transaction(add)

    threads = [threading.Thread(target=add_five_times) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = pool.mine.find_one({"_id": "counter"})
    assert found is not None
    assert found["n"] == 20


def test_a_scope_of_a_transaction_that_is_over_writes_nothing(pool: Pool) -> None:
    kept: list[OrgScope] = []
    pool.scope.transaction(kept.append)

    with pytest.raises(InvalidOperation):
        kept[0][THINGS].insert_one(thing("late"))
    assert len(pool.ours()) == EACH_HAS


def test_a_transaction_that_can_not_be_committed_ends_in_an_error(
    pool: Pool, client: "MongoClient[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "_TRANSACTION_S", 1)
    collection = client[pool.raw.database.name][pool.raw.name]
    began = time.monotonic()

    with client.start_session() as holder, holder.start_transaction():
        collection.update_one({"_id": pool.our_ids[0]}, {"$set": {"n": 99}}, session=holder)
        with pytest.raises(PyMongoError):
            pool.scope.transaction(
                lambda scope: scope[THINGS].update_one({"_id": pool.our_ids[0]}, {"$set": {"n": 1}})
            )

    assert time.monotonic() - began < 10


def test_one_moment_stays_as_it_was_and_is_not_of_before(pool: Pool) -> None:
    pool.mine.insert_one(thing("before"))

    def work(scope: OrgScope) -> tuple[int, int]:
        first = scope[THINGS].count_documents()
        pool.mine.insert_one(thing("meanwhile"))
        return first, len(scope[THINGS].find_all({}))

    assert pool.scope.at_one_moment(work) == (EACH_HAS + 1, EACH_HAS + 1)
    assert pool.mine.count_documents() == EACH_HAS + 2


def test_at_one_moment_nothing_is_written(pool: Pool) -> None:
    with pytest.raises(Unsafe, match="reading"):
        pool.scope.at_one_moment(lambda scope: scope[THINGS].insert_one(thing("a")))
    with pytest.raises(Unsafe, match="reading"):
        pool.scope.transaction(
            lambda scope: scope.at_one_moment(lambda inner: inner[THINGS].insert_one(thing("a")))
        )

    assert len(pool.ours()) == EACH_HAS


def make_again(collection: Collection[Any]) -> None:
    """Let the collection begin to exist at this moment, with all that is in it."""
    with pymongo.timeout(None):
        collection.rename(f"{collection.name}.aside")
        collection.database[f"{collection.name}.aside"].rename(collection.name)


def test_a_moment_that_is_gone_is_another_one(pool: Pool, client: "MongoClient[Any]") -> None:
    runs = 0

    def work(scope: OrgScope) -> int:
        nonlocal runs
        runs += 1
        scope[DELTAS].count_documents()
        if runs == 1:
            make_again(client[pool.raw.database.name][pool.raw.name])
        return scope[THINGS].count_documents()

    assert pool.scope.at_one_moment(work) == EACH_HAS
    assert runs == 2


def test_moments_that_are_always_gone_end_in_an_error(
    pool: Pool, client: "MongoClient[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "_TRANSACTION_S", 1)

    def work(scope: OrgScope) -> int:
        scope[DELTAS].count_documents()
        make_again(client[pool.raw.database.name][pool.raw.name])
        return scope[THINGS].count_documents()

    with pytest.raises(PyMongoError):
        pool.scope.at_one_moment(work)


def test_the_control_planes_transactions_are_all_or_nothing_too(control: ControlPlane) -> None:
    def work(session: Any) -> None:
        control.users.insert_one({"_id": "a", "org_id": new_id(), "email": "a@b"}, session=session)
        control.slugs.insert_one({"_id": "acme"}, session=session)
        raise KeyError

    with pytest.raises(KeyError):
        control.transaction(work)

    assert (control.users.count_documents({}), control.slugs.count_documents({})) == (0, 0)


def test_every_collection_of_the_control_plane_is_majority_journaled_and_from_the_primary(
    control: ControlPlane,
) -> None:
    collections = [value for value in vars(control).values() if isinstance(value, Collection)]

    assert len(collections) == 24
    for collection in collections:
        assert collection.write_concern.document == {"w": "majority", "j": True}
        assert collection.read_concern.level == "majority"
        assert collection.read_preference.mode == 0


def test_indexes_of_the_control_plane_are_made_once_and_again_without_harm(control: ControlPlane) -> None:
    control.ensure_indexes()

    users = control.users.index_information()
    assert users["email"]["unique"]
    assert users["email"]["key"] == [("org_id", 1), ("email", 1)]
    assert control.organizations.index_information()["slug"]["unique"]
