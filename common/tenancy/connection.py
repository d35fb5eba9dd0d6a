"""Clients of MongoDB, and the check that a server keeps what it acknowledges."""

from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from common.errors import Misconfigured


def connect(url: str, appname: str) -> "MongoClient[Any]":
    """Make a client that writes to a majority's journal and answers or fails within seconds.

    Nothing is sent until it is used. Make it after a fork.
    """
    return MongoClient(
        url,
        appname=appname[:128],
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
    )


def check(client: "MongoClient[Any]") -> None:
    """Refuse a server that could lose what it acknowledged. Raises `Misconfigured`, saying what to change."""
    try:
        hello = client.admin.command("hello")
    except pymongo.errors.OperationFailure as error:
        raise Misconfigured(f"MongoDB refuses this user: {error.details}. Check FAIRWAY_MONGO_URL.") from error
    except PyMongoError as error:
        raise Misconfigured(
            "MongoDB does not answer. Check FAIRWAY_MONGO_URL and that it has a primary."
        ) from error
    if "setName" not in hello:
        raise Misconfigured(
            "This MongoDB is no replica set, so it has no transactions and no majority. "
            "Start it with --replSet and initiate the set; one node is enough."
        )
