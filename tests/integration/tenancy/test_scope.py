"""No query of a tenant's data leaves its organization: every method, against every hostile query we know."""

import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import bson.errors
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.command_cursor import CommandCursor
from pymongo.cursor import Cursor
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from common.files.collections import AUDIT_LOG
from common.ids import new_id
from common.tenancy import safety
from common.tenancy.org_collection import OrgCollection
from common.tenancy.registry import Registry
from common.tenancy.safety import Unsafe
from tests.integration.tenancy import hostile
from tests.integration.tenancy.conftest import EACH_HAS, THINGS, Pool

Call = Callable[[OrgCollection, Any], Any]
MARK = {"$set": {"marked": True}}
Refusal = (Unsafe, PyMongoError, bson.errors.BSONError)


def fresh(**fields: Any) -> dict[str, Any]:
    """Return a document of a new id."""
    one = new_id()
    return {"_id": one, "natural_key": one, **fields}


def as_document(where: Any) -> Any:
    """Return a filter as if it were a document, with an id if it has none."""
    return {**fresh(), **where} if isinstance(where, dict) else where


def as_stage(where: Any) -> list[Any]:
    """Return a pipeline that begins with a filter."""
    return [{"$match": where}]


# Each public method of OrgCollection, in every form that takes something from a caller.
READS: dict[str, tuple[Call, ...]] = {
    "find": (
        lambda things, where: list(things.find(where)),
        lambda things, where: list(things.find(where, sort=[("n", -1)], limit=10, projection={"org_id": 1})),
        lambda things, where: list(things.find(where, projection=where)),
    ),
    "find_one": (
        lambda things, where: things.find_one(where),
        lambda things, where: things.find_one(where, projection=where),
    ),
    "find_all": (
        lambda things, where: things.find_all(where),
        lambda things, where: things.find_all(where, sort=[("n", -1)], limit=10, projection={"org_id": 1}),
        lambda things, where: things.find_all(where, projection=where),
    ),
    "count_documents": (
        lambda things, where: -things.count_documents(where),
        lambda things, where: -things.count_documents(where, limit=100),
    ),
    "distinct": (
        lambda things, where: things.distinct("_id", where),
        lambda things, where: things.distinct("org_id", where),
    ),
    "aggregate": (
        lambda things, where: list(things.aggregate(as_stage(where))),
        lambda things, where: list(things.aggregate([{"$set": {"x": 1}}, *as_stage(where)])),
        lambda things, where: list(things.aggregate([{"$facet": {"all": as_stage(where)}}])),
        lambda things, where: list(things.aggregate([*as_stage(where), {"$group": {"_id": "$org_id"}}])),
    ),
}
UPDATES: dict[str, tuple[Callable[[OrgCollection, Any, Any], Any], ...]] = {
    "update_one": (
        lambda things, where, change: things.update_one(where, change),
        lambda things, where, change: things.update_one(where, change, upsert=True),
    ),
    "update_many": (lambda things, where, change: things.update_many(where, change),),
    "update_each": (lambda things, where, change: things.update_each([(where, change), (where, change)]),),
    "find_one_and_update": (
        lambda things, where, change: things.find_one_and_update(where, change),
        lambda things, where, change: things.find_one_and_update(where, change, upsert=True, return_document=True),
        lambda things, where, change: things.find_one_and_update(where, change, projection=where),
    ),
}
REPLACES: dict[str, tuple[Callable[[OrgCollection, Any, Any], Any], ...]] = {
    "replace_one": (
        lambda things, where, document: things.replace_one(where, document),
        lambda things, where, document: things.replace_one(where, document, upsert=True),
    ),
}
INSERTS: dict[str, tuple[Call, ...]] = {
    "insert_one": (lambda things, document: things.insert_one(document),),
    "insert_many": (
        lambda things, document: things.insert_many([document]),
        lambda things, document: things.insert_many([fresh(), document], ordered=False),
    ),
}
DELETES: dict[str, tuple[Call, ...]] = {
    "delete_one": (lambda things, where: things.delete_one(where),),
    "delete_many": (lambda things, where: things.delete_many(where),),
}
WRITES = {**UPDATES, **REPLACES, **INSERTS, **DELETES}


def calls_with_a_filter() -> list[Any]:
    """List every form of every method as a call with a filter; inserts take it for a document."""
    forms: list[tuple[str, Call]] = [(name, one) for name, many in (READS | DELETES).items() for one in many]
    for name, changes in UPDATES.items():
        forms += [(name, lambda things, where, form=form: form(things, where, MARK)) for form in changes]
    for name, replaces in REPLACES.items():
        forms += [
            (name, lambda things, where, form=form: form(things, where, {"_id": "new"})) for form in replaces
        ]
    for name, inserts in INSERTS.items():
        forms += [(name, lambda things, where, form=form: form(things, as_document(where))) for form in inserts]
    return [pytest.param(form, id=f"{name}-{number}") for number, (name, form) in enumerate(forms)]


def test_every_public_method_has_its_cases() -> None:
    public = {name for name, _ in inspect.getmembers(OrgCollection) if not name.startswith("_")}

    assert public == {*READS, *WRITES}


def test_every_method_of_pymongo_is_given_safely_or_refused(pool: Pool) -> None:
    """Walk all that a collection of pymongo's can do, so that what a newer one brings is refused, too."""
    everything = {name for name in dir(Collection) if not name.startswith("_")}
    given = {name for name in everything if hasattr(pool.mine, name)}
    refused = everything - given

    assert given == {*READS, *WRITES} - OURS_ALONE
    for name in refused:
        with pytest.raises(AttributeError):
            getattr(pool.mine, name)
    with pytest.raises(TypeError):  # a collection of pymongo's makes others, of any name
        pool.mine["any_name"]  # type: ignore[index]
    forms = len(calls_with_a_filter()) * len(list(hostile.filters(pool.us, pool.them, pool.their_ids[0]))) * 2
    print(f"{len(everything)} methods: {len(given)} given with {forms} hostile calls, {len(refused)} refused")


OURS_ALONE = {"update_each", "find_all"}


@pytest.mark.parametrize("call", calls_with_a_filter())
def test_no_filter_reaches_the_other_organization(pool: Pool, call: Call) -> None:
    before, collections = pool.theirs(), pool.collections()

    for where in hostile.filters(pool.us, pool.them, pool.their_ids[0]):
        for ask in (call, in_a_transaction(pool, call)):
            result = None
            with suppress(*Refusal):
                result = ask(pool.mine, where)

            assert not pool.shows_theirs(result), where
            assert not isinstance(result, int) or abs(result) <= EACH_HAS, where
            assert pool.theirs() == before, where
            assert pool.nobodys() == [], where
            pool.fill()
    assert pool.collections() == collections


def in_a_transaction(pool: Pool, call: Call) -> Call:
    """Return *call* as it goes in a transaction."""
    return lambda _things, where: pool.scope.transaction(lambda scope: call(scope[THINGS], where))


@pytest.mark.parametrize("where", [{"$where": "true"}, {"$query": {}}, {"$expr": {"$function": hostile.JS}}])
def test_code_and_commands_in_a_filter_are_refused_by_us(pool: Pool, where: Any) -> None:
    """The test servers run no scripts, but a deployment's might."""
    for call in [one.values[0] for one in calls_with_a_filter() if "insert" not in str(one.id)]:
        with pytest.raises(Unsafe):
            call(pool.mine, where)


UPDATE_FORMS = [
    pytest.param(form, id=f"{name}-{n}") for name, all_ in UPDATES.items() for n, form in enumerate(all_)
]
DOCUMENT_FORMS = [
    *(pytest.param(form, id=f"{name}-{n}") for name, all_ in INSERTS.items() for n, form in enumerate(all_)),
    *(
        pytest.param(
            lambda things, document, form=form, where=where: form(things, where, document), id=f"{name}-{n}"
        )
        for name, all_ in REPLACES.items()
        for n, form in enumerate(all_)
        for where in ({}, {"n": 1}, {"_id": "none"})
    ),
]


@pytest.mark.parametrize("form", UPDATE_FORMS)
def test_no_update_moves_a_thing_to_another_organization(
    pool: Pool, form: Callable[[OrgCollection, Any, Any], Any]
) -> None:
    ours, theirs = pool.ours(), pool.theirs()

    for change in hostile.updates(pool.us, pool.them):
        with pytest.raises(Unsafe):
            form(pool.mine, {}, change)
        with pytest.raises(Unsafe):
            form(pool.mine, {"_id": "none"}, change)
    assert (pool.ours(), pool.theirs(), pool.nobodys()) == (ours, theirs, [])


@pytest.mark.parametrize("form", DOCUMENT_FORMS)
def test_no_document_is_anybody_elses(pool: Pool, form: Call) -> None:
    theirs = pool.theirs()

    for document in hostile.documents(pool.them, new_id()):
        with suppress(*Refusal):
            form(pool.mine, document)

        assert pool.theirs() == theirs, document
        assert pool.nobodys() == [], document
        assert not any("$set" in one for one in pool.ours()), document
        pool.fill()


@pytest.mark.parametrize("form", DOCUMENT_FORMS)
def test_a_document_of_their_id_leaves_theirs_as_it_is(pool: Pool, form: Call) -> None:
    theirs = pool.theirs()

    with suppress(PyMongoError):  # a replacement that finds nothing to replace is no error
        form(pool.mine, {"_id": pool.their_ids[0], "natural_key": "x"})

    assert (pool.theirs(), pool.nobodys()) == (theirs, [])
    assert len(pool.ours()) <= EACH_HAS + 1


def test_an_upsert_belongs_to_the_organization(pool: Pool) -> None:
    pool.mine.update_one({"_id": "a", "natural_key": "a"}, {"$set": {"n": 7}}, upsert=True)
    pool.mine.find_one_and_update({"_id": "b", "natural_key": "b"}, {"$set": {"n": 8}}, upsert=True)
    pool.mine.replace_one({"_id": "c"}, {"_id": "c", "natural_key": "c", "org_id": pool.them}, upsert=True)

    assert {one["_id"] for one in pool.ours()} == {*pool.our_ids, "a", "b", "c"}
    assert len(pool.theirs()) == EACH_HAS


def test_pipelines_that_leave_their_collection_are_refused(pool: Pool) -> None:
    ours, theirs, collections = pool.ours(), pool.theirs(), pool.collections()

    for pipeline in hostile.pipelines(pool.them, pool.raw.database.name, pool.raw.name):
        with pytest.raises(Unsafe):
            list(pool.mine.aggregate(pipeline))
    assert (pool.ours(), pool.theirs(), pool.collections()) == (ours, theirs, collections)


STAYS: dict[str, list[dict[str, Any]]] = {
    "$match": [{"$match": {"$text": {"$search": "alpha"}}}],
    "$group": [{"$group": {"_id": None, "ids": {"$push": "$_id"}}}],
    "$sort": [{"$sort": {"org_id": 1}}],
    "$limit": [{"$limit": 100}],
    "$skip": [{"$skip": 1}],
    "$project": [{"$project": {"everything": "$$ROOT"}}],
    "$addFields": [{"$addFields": {"owner": "$org_id"}}],
    "$set": [{"$set": {"n": "$$ROOT"}}],
    "$unset": [{"$unset": "org_id"}, {"$match": {"org_id": None}}],
    "$unwind": [{"$unwind": "$tags"}],
    "$count": [{"$count": "n"}],
    "$facet": [{"$facet": {"all": [{"$match": {}}], "some": [{"$match": {"org_id": {"$ne": 1}}}]}}],
    "$bucket": [
        {"$bucket": {"groupBy": "$n", "boundaries": [0, 99], "output": {"ids": {"$push": "$_id"}}}},
    ],
    "$bucketAuto": [{"$bucketAuto": {"groupBy": "$n", "buckets": 2, "output": {"ids": {"$push": "$_id"}}}}],
    "$sortByCount": [{"$sortByCount": "$_id"}],
    "$replaceRoot": [{"$replaceRoot": {"newRoot": {"all": "$$ROOT"}}}],
    "$replaceWith": [{"$replaceWith": {"all": "$$ROOT"}}],
    "$sample": [{"$sample": {"size": 100}}],
    "$setWindowFields": [
        {"$setWindowFields": {"sortBy": {"n": 1}, "output": {"ids": {"$push": "$_id", "window": {}}}}}
    ],
    "$densify": [{"$densify": {"field": "n", "range": {"step": 1, "bounds": [0, 5]}}}],
    "$fill": [{"$fill": {"sortBy": {"n": 1}, "output": {"org_id": {"method": "locf"}}}}],
    "$redact": [{"$redact": "$$KEEP"}],
}


def test_every_stage_that_is_allowed_has_its_case() -> None:
    assert set(STAYS) == safety._STAGES


@pytest.mark.parametrize("first", [[], [{"$match": {}}], [{"$match": {"org_id": {"$exists": True}}}]])
def test_a_pipeline_sees_the_organizations_things_only(pool: Pool, first: list[Any]) -> None:
    for stage, pipeline in STAYS.items():
        is_first = stage == "$match"  # $text must stand in the first stage
        result = list(pool.mine.aggregate([*(() if is_first else first), *pipeline]))

        assert result, stage
        assert not pool.shows_theirs(result), stage
        assert result[0]["n"] == EACH_HAS if stage == "$count" else len(result) <= 2 * EACH_HAS, stage


def test_a_pipeline_that_renames_its_things_gets_no_others(pool: Pool) -> None:
    as_them = [{"$set": {"org_id": pool.them}}, {"$match": {"org_id": pool.them}}]

    found = {one["_id"] for one in pool.mine.aggregate(as_them)}

    assert found == set(pool.our_ids)


PROJECTIONS: list[Any] = [
    *({"$where": 1}, {"n": {"$function": hostile.JS}}, {"n": {"$lookup": {"from": "x"}}}, {"n": "$$ROOT"}),
    *({"org_id": 0}, {"$query": 1}, {"n": {"$meta": "textScore"}}, ["$where"], ["org_id"], [{"$where": 1}]),
]
SORTS: list[Any] = [[("$where", 1)], [("", 1)], [("org_id", 1)], [("$natural", 1)], [("a.$b", -1)], [("n", "$x")]]


@pytest.mark.parametrize(
    "read",
    [
        lambda things, shown: list(things.find({}, projection=shown)),
        lambda things, shown: things.find_all({}, projection=shown),
        lambda things, shown: things.find_one({}, projection=shown),
        lambda things, shown: things.find_one_and_update({}, MARK, projection=shown),
    ],
)
def test_no_projection_shows_more(pool: Pool, read: Call) -> None:
    for projection in PROJECTIONS:
        result: Any = None
        with suppress(*Refusal, TypeError):
            result = read(pool.mine, projection)

        assert not pool.shows_theirs(result), projection


@pytest.mark.parametrize("hint", [None, "natural_key", "org_id_1", "$natural"])
def test_no_order_and_no_hint_shows_more(pool: Pool, hint: str | None) -> None:
    for sort in SORTS:
        result: Any = []
        with suppress(*Refusal, TypeError):
            result = list(pool.mine.find({}, sort=sort, hint=hint))

        assert not pool.shows_theirs(result), sort
        assert len(result) <= EACH_HAS, sort


def test_a_view_for_reading_reads_and_refuses_every_write(pool: Pool) -> None:
    view = pool.scope.reading()[THINGS]
    before = pool.ours()
    writes: list[Callable[[], Any]] = [
        *(lambda form=form: form(view, {}, MARK) for forms in UPDATES.values() for form in forms),
        *(lambda form=form: form(view, {}, {"_id": "x"}) for forms in REPLACES.values() for form in forms),
        *(lambda form=form: form(view, fresh()) for forms in INSERTS.values() for form in forms),
        *(lambda form=form: form(view, {}) for forms in DELETES.values() for form in forms),
        lambda: view.update_each([]),
    ]

    for write in writes:
        with pytest.raises(Unsafe, match="reading"):
            write()
    assert len(list(view.find())) == EACH_HAS
    assert pool.ours() == before


LOG = AUDIT_LOG  # any that is append-only would do; this one is real


@pytest.fixture
def log(pool: Pool) -> OrgCollection:
    """Return an append-only collection with three entries of the organization."""
    made = pool.scope[LOG]
    made.insert_many([{"_id": one, "n": n} for n, one in enumerate(pool.our_ids)])
    return made


APPENDED: list[Call] = [
    *(
        lambda log, _, form=form, where=where: form(log, where, MARK)
        for forms in UPDATES.values()
        for form in forms
        for where in ({}, {"_id": "none"})
    ),
    *(
        lambda log, _, form=form, where=where: form(log, where, {"_id": "x"})
        for forms in REPLACES.values()
        for form in forms
        for where in ({}, {"_id": "none"})
    ),
    *(lambda log, where, form=form: form(log, where) for forms in DELETES.values() for form in forms),
    lambda log, _: log.update_each([]),
]


@pytest.mark.parametrize("change", APPENDED)
def test_what_stands_in_an_append_only_collection_stays(pool: Pool, log: OrgCollection, change: Call) -> None:
    before = list(log.find())

    for where in ({}, {"_id": pool.our_ids[0]}):
        with pytest.raises(Unsafe, match="only added"):
            change(log, where)
        with pytest.raises(Unsafe, match="only added"):
            pool.scope.transaction(lambda scope, where=where: change(scope[LOG], where))  # type: ignore[misc]

    assert list(log.find()) == before
    assert len(before) == EACH_HAS


def test_to_an_append_only_collection_is_added(pool: Pool, log: OrgCollection) -> None:
    log.insert_one(fresh())
    pool.scope.transaction(lambda scope: scope[LOG].insert_many([fresh(), fresh()]))

    assert log.count_documents() == EACH_HAS + 3
    with pytest.raises(DuplicateKeyError):
        log.insert_one({"_id": pool.our_ids[0]})
    with pytest.raises(Unsafe, match="reading"):
        pool.scope.reading()[LOG].insert_one(fresh())


def test_a_purge_removes_also_what_is_append_only(
    pool: Pool, log: OrgCollection, make_registry: Callable[..., Registry]
) -> None:
    registry = make_registry(pool.raw.database.name)
    if registry.get(pool.us).placement.mode == "dedicated":
        registry.drop_dedicated(pool.us)
        assert f"{pool.raw.database.name}.{LOG.name}.{pool.us}" not in pool.collections()
        return

    assert registry.remove_rows(pool.us, LOG, 100) == EACH_HAS

    assert list(log.find()) == []


def test_a_view_for_reading_stays_one_in_a_transaction(pool: Pool) -> None:
    with pytest.raises(Unsafe, match="reading"):
        pool.scope.reading().transaction(lambda scope: scope[THINGS].delete_many({}))
    assert len(pool.ours()) == EACH_HAS


def test_nothing_that_a_scope_gives_leads_to_a_client(pool: Pool) -> None:
    found, piped = pool.mine.find(), pool.mine.aggregate([])
    next(found), next(piped)
    drivers = (MongoClient, Database, Collection, Cursor, CommandCursor, ClientSession)

    for given_out in (pool.scope, pool.mine, found, piped, pool.scope.reading()):
        names = [name for name in dir(given_out) if not name.startswith("_") and name != "gi_frame"]
        assert not [name for name in names if isinstance(getattr(given_out, name), drivers)]


def test_whose_data_it_is_can_not_be_changed(pool: Pool) -> None:
    with pytest.raises(AttributeError):
        pool.scope.org_id = pool.them  # type: ignore[misc]


US, THEM, THEIRS = "us", "them", "their thing"
values = st.sampled_from([US, THEM, THEIRS, None, 0, 1, "", "alpha"])
conditions = st.one_of(
    values,
    st.builds(
        lambda op, value: {op: value},
        st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$not"]),
        values,
    ),
    st.builds(lambda op, many: {op: many}, st.sampled_from(["$in", "$nin", "$all"]), st.lists(values, max_size=3)),
    st.sampled_from([{"$exists": True}, {"$exists": False}, {"$regex": "."}, {"$type": "string"}]),
)
fields = st.dictionaries(st.sampled_from(["org_id", "_id", "n", "tags", "natural_key"]), conditions, max_size=3)
any_filter = st.recursive(
    fields,
    lambda inner: st.builds(
        lambda base, op, many: {**base, op: many},
        fields,
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=any_filter)
def test_whatever_is_asked_only_our_own_answers(pool: Pool, where: Any) -> None:
    asked = _named(where, {US: pool.us, THEM: pool.them, THEIRS: pool.their_ids[0]})

    with suppress(PyMongoError):
        assert {one["_id"] for one in pool.mine.find(asked)} <= set(pool.our_ids)
        assert pool.mine.count_documents(asked) <= EACH_HAS
        pool.mine.update_many(asked, MARK)
    assert not any("marked" in one for one in pool.theirs())


def _named(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, dict):
        return {key: _named(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_named(one, names) for one in part]
    return names.get(part, part) if isinstance(part, str) else part
