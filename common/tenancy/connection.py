"""Clients of MongoDB, and the check that a server keeps what it acknowledges."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from common.errors import Misconfigured

OLDEST_WIRE_VERSION = 17
"""That of MongoDB 6.0."""


_OURS = "fairway:"


def connect(url: str, appname: str, listeners: Sequence[Any] = ()) -> "MongoClient[Any]":
    """Make a client that writes to a majority's journal and answers or fails within seconds.

    What *url* says against that is overridden; *listeners* are told of its commands and connections. Nothing is
    sent until it is used. Make it after a fork.
    Raises `Misconfigured` for a text that is no address; it is not repeated, because it may hold a password.
    """
    try:
        return MongoClient(
            url,
            appname=f"{_OURS}{appname}"[:128],
            w="majority",
            journal=True,
            readConcernLevel="majority",
            readPreference="primary",
            retryWrites=True,
            retryReads=True,
            tz_aware=True,
            connectTimeoutMS=2_000,
            serverSelectionTimeoutMS=3_000,
            socketTimeoutMS=20_000,
            maxPoolSize=64,
            event_listeners=list(listeners),
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise Misconfigured(f"FAIRWAY_MONGO_URL is no address of MongoDB ({type(error).__name__}).") from None


def abort_idle_transactions(client: "MongoClient[Any]", idle_s: float) -> int:
    """Abort our own transactions in which nothing was done for *idle_s* seconds; return how many.

    A process that dies, or freezes, inside a transaction leaves its documents locked for as long as the server
    lets a transaction live (a minute). Whoever is alive after all finds its commit refused and runs it again.
    """
    pipeline: list[Mapping[str, Any]] = [
        {"$currentOp": {"allUsers": True, "idleSessions": True}},
        {
            "$match": {
                "type": "idleSession",
                "appName": {"$regex": f"^{_OURS}"},
                "transaction.timeInactiveMicros": {"$gt": int(idle_s * 1_000_000)},
            }
        },
    ]
    admin = client.get_database("admin", read_concern=ReadConcern("local"))
    found = [{"lsid": one["lsid"]} for one in admin.aggregate(pipeline)]
    if found:
        admin.command("killAllSessionsByPattern", found)
    return len(found)


def check(client: "MongoClient[Any]") -> None:
    """Refuse a server that could lose what it acknowledged. Raises `Misconfigured`, saying what to change."""
    try:
        hello = client.admin.command("hello")
    except OperationFailure as error:
        raise Misconfigured("MongoDB refuses this user or password. Check FAIRWAY_MONGO_URL.") from error
    except PyMongoError as error:
        raise Misconfigured(
            "MongoDB does not answer. Check FAIRWAY_MONGO_URL and that it has a primary."
        ) from error
    check_greeting(hello)


def check_greeting(hello: Mapping[str, Any]) -> None:
    """Judge a server by its answer to `hello`. Raises `Misconfigured`."""
    is_router = hello.get("msg") == "isdbgrid"  # a sharded cluster, whose shards are replica sets
    if hello.get("maxWireVersion", 0) < OLDEST_WIRE_VERSION:
        raise Misconfigured("This MongoDB is too old. 6.0 is the oldest that keeps all of our promises.")
    if not is_router and "setName" not in hello:
        raise Misconfigured(
            "This MongoDB is no replica set, so it has no transactions and no majority. "
            "Start it with --replSet and initiate the set; one node is enough."
        )
    if not hello.get("isWritablePrimary"):
        raise Misconfigured("This MongoDB is no primary. Leave directConnection out of FAIRWAY_MONGO_URL.")
