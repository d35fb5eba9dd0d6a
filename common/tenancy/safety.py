"""What a query may say: plain conditions on the documents it is given; no code, no way to another collection.

Everything that is known to be harmless is listed and the rest is refused, so that what a newer server brings
is refused until somebody has thought about it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson.raw_bson import RawBSONDocument

from common.errors import FairwayError

OWNER = "org_id"
DEPTH_MOST = 100

_CONDITIONS = frozenset({"$and", "$or", "$nor", "$expr", "$text", "$comment", "$jsonSchema"})
_UPDATES = frozenset(
    {"$set", "$unset", "$setOnInsert", "$inc", "$mul", "$min", "$max", "$rename", "$currentDate", "$bit"}
    | {"$push", "$pull", "$pullAll", "$pop", "$addToSet"}
)
_STAGES = frozenset(
    {
        "$match",
        "$group",
        "$sort",
        "$limit",
        "$skip",
        "$project",
        "$addFields",
        "$set",
        "$unset",
        "$unwind",
        "$count",
    }
    | {"$facet", "$bucket", "$bucketAuto", "$sortByCount", "$replaceRoot", "$replaceWith", "$sample"}
    | {"$setWindowFields", "$densify", "$fill", "$redact"}
)
_NOWHERE = frozenset(
    {"$where", "$function", "$accumulator"}  # code that runs in the server
    | {"$out", "$merge", "$lookup", "$unionWith", "$graphLookup"}  # other collections
    | {"$query", "$orderby"}  # pymongo turns a filter that holds $query into the fields of a command
)


# By their very types, no subclasses: nothing stands in them, so a list of a page's keys is looked through at once.
_PLAIN = frozenset({str, int, float, bool, bytes, datetime, type(None)})


class Unsafe(FairwayError):
    """A query that could leave its organization; a mistake in our own code, never a caller's."""

    code = "unsafe-query"


def safe_filter(where: Any) -> Mapping[str, Any]:
    """Return *where* if it is one of conditions on the documents of this collection. Raises `Unsafe`."""
    if not isinstance(where, Mapping):
        raise Unsafe("A filter is a mapping of fields to conditions.")
    refuse_forbidden(where)
    for key in where:
        if key.startswith("$") and key not in _CONDITIONS:
            raise Unsafe(f"{key} is no condition that a filter may begin with.")
    return where


def safe_update(update: Any) -> Mapping[str, Any]:
    """Return *update* if it is one of operators that leave the owner alone. Raises `Unsafe`."""
    if not isinstance(update, Mapping) or not update:
        raise Unsafe("An update is a mapping of operators; a pipeline would evaluate the values in it.")
    refuse_forbidden(update)
    for operator, fields in update.items():
        if operator not in _UPDATES or not isinstance(fields, Mapping):
            raise Unsafe(f"{operator!r} is no update operator with fields.")
        targets = [*fields, *fields.values()] if operator == "$rename" else fields
        for target in targets:
            _refuse_owner(str(target).split(".", 1)[0], operator)
    return update


def safe_document(document: Any) -> Mapping[str, Any]:
    """Return *document* if it has an id and each name in it is plain. Raises `Unsafe`."""
    if not isinstance(document, Mapping) or isinstance(document, RawBSONDocument) or "_id" not in document:
        raise Unsafe("A document is a mapping with an _id of the caller's making.")
    try:
        names = "\n".join(document)  # one search instead of one a name: imports insert many
    except TypeError as error:
        raise Unsafe("The names in a document are texts.") from error
    if "$" in names or "." in names:
        raise Unsafe("The name of a field holds no $ and no dot: it would be an operator or a path.")
    return document


def safe_pipeline(pipeline: Any) -> Sequence[Mapping[str, Any]]:
    """Return *pipeline* if each stage, also inside a `$facet`, stays with its documents. Raises `Unsafe`."""
    if not isinstance(pipeline, list | tuple):
        raise Unsafe("A pipeline is a list of stages.")
    for stage in pipeline:
        if not isinstance(stage, Mapping) or len(stage) != 1 or next(iter(stage)) not in _STAGES:
            raise Unsafe("A pipeline holds a stage that is not known to stay in its collection.")
        refuse_forbidden(stage)
        if "$match" in stage:
            safe_filter(stage["$match"])
        if "$facet" in stage:
            _refuse_unsafe_facets(stage["$facet"])
    return pipeline


def refuse_forbidden(part: Any, depth: int = 0) -> None:
    """Raise `Unsafe` if anywhere in *part* stands what may stand nowhere."""
    if depth > DEPTH_MOST or isinstance(part, RawBSONDocument):
        raise Unsafe("A query is nested at most 100 deep, and made of plain mappings and lists.")
    if isinstance(part, Mapping):
        for key, value in part.items():
            _refuse_forbidden_key(key)
            if isinstance(value, Mapping | list | tuple):
                refuse_forbidden(value, depth + 1)
    elif isinstance(part, list | tuple) and not _PLAIN.issuperset(map(type, part)):
        for value in part:
            if isinstance(value, Mapping | list | tuple):
                refuse_forbidden(value, depth + 1)


def _refuse_forbidden_key(key: Any) -> None:
    if not isinstance(key, str):
        raise Unsafe("The names in a query are texts.")
    if key in _NOWHERE or key.startswith("$_"):  # $_internal…: the server's own, some of which run code
        raise Unsafe(f"{key} would run code in the server, or reach another collection.")


def _refuse_owner(field: str, operator: str) -> None:
    if field == OWNER or (field == "_id" and operator != "$setOnInsert"):
        raise Unsafe(f"An update may not touch {field}.")


def _refuse_unsafe_facets(facets: Any) -> None:
    if not isinstance(facets, Mapping):
        raise Unsafe("A $facet is a mapping of names to pipelines.")
    for inner in facets.values():
        safe_pipeline(inner)
