"""Filters, updates, documents and pipelines that try to leave an organization.

*us* and *them* are the ids of two organizations, *their_id* that of a thing of theirs.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import bson
from bson import SON
from bson.code import Code
from bson.raw_bson import RawBSONDocument

JS = {"body": "function() { return true; }", "args": [], "lang": "js"}


def filters(us: str, them: str, their_id: str) -> Iterator[Any]:
    """Give filters of every kind that the server knows, and some that it does not."""
    yield from _that_name_the_owner(us, them)
    yield from _that_open_up(us, them)
    yield from _that_run_code()
    yield from _that_name_a_thing(their_id)
    yield from _of_a_strange_make(us, them)


def _that_name_the_owner(us: str, them: str) -> Iterator[Any]:
    yield {"org_id": them}
    yield {"org_id": {"$ne": us}}
    yield {"org_id": {"$eq": them}}
    yield {"org_id": {"$in": [us, them]}}
    yield {"org_id": {"$nin": [us]}}
    yield {"org_id": {"$exists": True}}
    yield {"org_id": {"$gt": ""}}
    yield {"org_id": {"$not": {"$eq": us}}}
    yield {"org_id": {"$regex": ".*"}}
    yield {"org_id": re.compile(".*")}
    yield {"org_id": {"$type": "string"}}
    yield {"org_id": None}
    yield {"org_id": [us, them]}
    yield {"$and": [{"org_id": them}]}
    yield {"$or": [{"org_id": us}, {"org_id": them}]}
    yield {"$or": [{"org_id": them}]}
    yield {"$nor": [{"org_id": us}]}
    yield {"org_id": us, "$or": [{"org_id": them}, {"org_id": us}]}


def _that_open_up(us: str, them: str) -> Iterator[Any]:
    yield {}
    yield {"$or": [{}]}
    yield {"$or": [{}, {"n": 1}]}
    yield {"$nor": [{"$nor": [{}]}]}
    yield {"$expr": True}
    yield {"$expr": {"$eq": ["$org_id", them]}}
    yield {"$expr": {"$ne": ["$org_id", us]}}
    yield {"$expr": {"$in": ["$org_id", [us, them]]}}
    yield {"$expr": {"$eq": [{"$getField": "org_id"}, them]}}
    yield {"$jsonSchema": {}}
    yield {"$jsonSchema": {"properties": {"org_id": {"enum": [them]}}}}
    yield {"$comment": {"org_id": them}, "n": {"$gte": 0}}
    yield {"$text": {"$search": "alpha"}}
    yield {"$text": {"$search": "alpha"}, "org_id": them}
    yield {"$alwaysTrue": 1}
    yield {"$sampleRate": 1.0}
    yield {"$query": {}}
    yield {"$query": {"org_id": them}, "find": "organizations"}
    yield {"$query": {"org_id": them}, "$orderby": {"n": 1}, "org_id": them}


def _that_run_code() -> Iterator[Any]:
    yield {"$where": "true"}
    yield {"$where": Code("function() { return true; }")}
    yield {"$or": [{"n": 1}, {"$where": "true"}]}
    yield {"$expr": {"$function": JS}}
    yield {"$expr": {"$and": [True, {"$not": [{"$function": JS}]}]}}
    yield {"$nor": [{"$and": [{"$expr": {"$or": [{"$eq": [1, {"$function": JS}]}]}}]}]}
    yield {"tags": {"$elemMatch": {"$where": "true"}}}
    yield {"$expr": {"$_internalJsEmit": {"eval": "function() {}", "this": "$$ROOT"}}}
    yield {"n": {"$_internalExprGte": 0}}


def _that_name_a_thing(their_id: str) -> Iterator[Any]:
    yield {"_id": their_id}
    yield {"_id": {"$in": [their_id]}}
    yield {"_id": {"$gte": ""}}
    yield {"_id": re.compile(".")}
    yield {"natural_key": f"of {their_id}"}
    yield {"n": {"$gte": 0}}
    yield {"$or": [{"_id": their_id}, {"n": 0}]}


def _of_a_strange_make(us: str, them: str) -> Iterator[Any]:
    yield SON([("org_id", them), ("n", 1)])
    yield MappingProxyType({"org_id": them})
    yield RawBSONDocument(bson.encode({"org_id": them}))
    yield {"$or": [RawBSONDocument(_named_twice("org_id", us, "org_id", them))]}
    yield RawBSONDocument(_named_twice("$expr", {"$function": JS}, "$expr", 1))
    yield {"$or": [RawBSONDocument(_named_twice("$expr", {"$function": JS}, "$expr", 1))]}
    yield deep({"org_id": them}, 150)
    yield {b"org_id": them}
    yield {1: them}
    yield {"org_id\x00": them}
    yield {"": them}
    yield {"org_id.": them}
    yield {"$org_id": them}
    yield {"$": {"org_id": them}}
    yield {"n": {"$gte": 0, "$comment": us}}
    yield [{"org_id": them}]
    yield "org_id"
    yield 1


def deep(part: Mapping[str, Any], times: int) -> Mapping[str, Any]:
    """Wrap *part* in that many conjunctions."""
    for _ in range(times):
        part = {"$and": [part]}
    return part


def _named_twice(*pairs: Any) -> bytes:
    """Encode a document whose names need not differ; a reader sees one of each, the server may see the other."""
    parts = [bson.encode({pairs[place]: pairs[place + 1]})[4:-1] for place in range(0, len(pairs), 2)]
    body = b"".join(parts) + b"\x00"
    return (len(body) + 4).to_bytes(4, "little") + body


def updates(us: str, them: str) -> Iterator[Any]:
    """Give updates that would move a thing to another organization, run code, or are none at all."""
    yield [{"$set": {"org_id": them}}]
    yield [{"$set": {"n": "$org_id"}}]
    yield []
    for operator, value in (
        *(("$set", them), ("$unset", ""), ("$setOnInsert", them), ("$inc", 1), ("$mul", 0), ("$min", "")),
        *(("$max", them), ("$push", them), ("$pull", us), ("$pullAll", [us]), ("$pop", 1), ("$addToSet", them)),
        *(("$bit", {"and": 0}), ("$currentDate", True)),
    ):
        yield {operator: {"org_id": value}}
        yield {operator: {"org_id.x": value}}
        yield {operator: {"org_id.$[]": value}}
        yield {"$set": {"n": 9}, operator: {"org_id": value}} if operator != "$set" else {"$set": {"_id": "x"}}
    yield {"$rename": {"org_id": "n"}}
    yield {"$rename": {"n": "org_id"}}
    yield {"$rename": {"n": "org_id.x"}}
    yield {"$unset": {"_id": ""}}
    yield {"$set": {"n": {"$function": JS}}}
    yield {"$pull": {"tags": {"$where": "true"}}}
    yield {"$replaceRoot": {"newRoot": {"org_id": them}}}
    yield {"$replaceWith": {"org_id": them}}
    yield {"$v": 2, "diff": {"u": {"org_id": them}}}
    yield {"org_id": them}
    yield {"n": 9}
    yield {"n": 9, "$set": {"org_id": them}}
    yield {"$set": "org_id"}
    yield {"$set": RawBSONDocument(_named_twice("n", 9, "org_id", them))}
    yield RawBSONDocument(_named_twice("$set", {"org_id": them}, "$set", {"n": 9}))
    yield {}
    yield None
    yield "org_id"


def documents(them: str, new: str) -> Iterator[Any]:
    """Give documents that try to be another's, or to be an update; *new* is a free id."""
    yield {"_id": new, "org_id": them}
    yield {"org_id": them, "_id": new}
    yield SON([("org_id", them), ("_id", new)])
    yield MappingProxyType({"_id": new, "org_id": them})
    yield {"_id": new, "$set": {"org_id": them}}
    yield {"$set": {"org_id": them}}
    yield {"$set": {"org_id": them}, "_id": new}
    yield {"_id": new, "org_id.x": them}
    yield {"org_id": them}
    yield RawBSONDocument(_named_twice("_id", new, "org_id", them, "org_id", them))
    yield [{"$set": {"org_id": them}}]
    yield None
    yield "org_id"


def pipelines(them: str, database: str, collection: str) -> Iterator[Any]:
    """Give pipelines that would leave their collection or run code in the server."""
    for stage in _stages_that_leave(them, database, collection):
        yield [stage]
        yield [{"$match": {}}, stage]
        yield [{"$facet": {"all": [stage]}}]
        yield [{"$facet": {"all": [{"$match": {}}, {"$facet": {"again": [stage]}}]}}]
    yield [{"$match": {}, "$out": "stolen"}]
    yield [{}]
    yield [{"$match": None}]
    yield [{"$match": [{"org_id": them}]}]
    yield [{"$match": {"$where": "true"}}]
    yield [{"$match": {"$query": {"org_id": them}}}]
    yield [{"$MATCH": {}}]
    yield [{"$facet": []}]
    yield [{"$facet": {"all": {"$out": "stolen"}}}]
    yield [[{"$out": "stolen"}]]
    yield ["$out"]
    yield [None]
    yield {"$out": "stolen"}
    yield "$out"
    yield None
    yield iter([{"$out": "stolen"}])


def _stages_that_leave(them: str, database: str, collection: str) -> Iterator[Any]:
    yield {"$out": "stolen"}
    yield {"$out": {"db": database, "coll": "stolen"}}
    yield {"$merge": collection}
    yield {"$merge": {"into": {"db": database, "coll": "stolen"}}}
    yield {"$lookup": {"from": collection, "localField": "n", "foreignField": "n", "as": "all"}}
    yield {"$lookup": {"from": collection, "pipeline": [], "as": "all"}}
    yield {"$graphLookup": {"from": collection, "startWith": 1, "connectFromField": "n", "connectToField": "n"}}
    yield {"$unionWith": collection}
    yield {"$unionWith": {"coll": collection, "pipeline": [{"$match": {"org_id": them}}]}}
    yield {"$geoNear": {"near": [0, 0], "distanceField": "far"}}
    yield {"$search": {"text": {"query": "alpha", "path": "message"}}}
    yield {"$searchMeta": {}}
    yield {"$vectorSearch": {}}
    yield {"$collStats": {"count": {}}}
    yield {"$indexStats": {}}
    yield {"$planCacheStats": {}}
    yield {"$currentOp": {"allUsers": True}}
    yield {"$listSessions": {"allUsers": True}}
    yield {"$listLocalSessions": {}}
    yield {"$changeStream": {}}
    yield {"$documents": [{"org_id": them}]}
    yield {"$_internalInhibitOptimization": {}}
    yield {"$group": {"_id": None, "all": {"$accumulator": {"init": "function() {}", "lang": "js"}}}}
    yield {"$project": {"n": {"$function": JS}}}
    yield {"$set": {"n": {"$cond": [True, {"$function": JS}, 1]}}}
    yield {"$project": {"n": {"$lookup": {"from": collection}}}}
