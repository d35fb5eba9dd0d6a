"""Clients of MongoDB: what they insist on, and the servers that are refused."""

from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import PyMongoError

from common.errors import Misconfigured
from common.tenancy.connection import check, connect
from deploy.local.servers import Server, free_port, mongod


def test_a_replica_set_is_accepted(mongo_url: str) -> None:
    with connect(mongo_url, "test") as client:
        check(client)


def test_an_address_can_not_weaken_what_a_client_insists_on(mongo_url: str) -> None:
    weak = "&w=1&journal=false&readConcernLevel=local&readPreference=secondaryPreferred&retryWrites=false"

    with connect(mongo_url + weak, "test") as client:
        assert client.write_concern.document == {"w": "majority", "j": True}
        assert client.read_concern.level == "majority"
        assert client.read_preference.mode == 0
        assert client.options.retry_writes
        assert client.codec_options.tz_aware
        assert client.options.server_selection_timeout == 3
        assert client.options.pool_options.socket_timeout == 20
        assert client.options.pool_options.connect_timeout == 2


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "mongo://x",
            "http://user:canary@host",
            "mongodb://",
            "mongodb://user:canary@host:port",
            "mongodb://u:canary@",
        ),
        *("mongodb://h/?w=canary&replicaSet", "mongodb://u:ca%zznary@h", "mongodb://h:99999/?canary"),
    ],
)
def test_a_text_that_is_no_address_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(Misconfigured, match="FAIRWAY_MONGO_URL") as caught:
        connect(url, "test")

    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nobody_who_answers_is_said_within_seconds() -> None:
    url = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=x"

    with connect(url, "test") as client, pytest.raises(Misconfigured, match="does not answer"):
        check(client)


def test_a_standalone_server_is_refused(tmp_path: Path) -> None:
    port = free_port()
    url = f"mongodb://127.0.0.1:{port}/"
    command = [mongod(), "--dbpath", str(tmp_path), "--port", str(port), "--bind_ip", "127.0.0.1"]
    server = Server("standalone", [*command, "--nounixsocket"], tmp_path, lambda: _answers(url))
    server.start()
    try:
        with connect(url, "test") as client, pytest.raises(Misconfigured, match="no replica set"):
            check(client)
    finally:
        server.stop()


def _answers(url: str) -> bool:
    try:
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=500) as client:
            return bool(client.admin.command("ping"))
    except PyMongoError:
        return False
