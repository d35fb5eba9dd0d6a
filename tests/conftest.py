"""Real servers for every test that asks: one MongoDB and one Redis a session, fresh databases a test."""

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from hypothesis import HealthCheck, settings

sys.path[:0] = [str(Path(__file__).parent / "kinds")]
for _name in [name for name in os.environ if name.startswith("FAIRWAY_")]:
    del os.environ[_name]

from common.config import Settings  # noqa: E402 (after the path and the environment are as the tests need them)
from deploy.local.servers import Mongo, Redis  # noqa: E402
from tests.beside import (  # noqa: E402, F401 (hooks and a fixture)
    _beside_others_or_alone,
    pytest_collection_modifyitems,
    pytest_xdist_make_scheduler,
)

_numbers = itertools.count(1)
# On a slow or busy machine the first inputs take seconds: tables are made of which sign is what.
settings.register_profile("fairway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fairway")
REDIS_DATABASES = 16
REUSED = 0
MANY = 5_000


@dataclass(frozen=True)
class Servers:
    """The servers of this session."""

    mongo: Mongo
    redis: Redis


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Start the servers; a missing one is a failure, never a skip."""
    folder = Path(tempfile.mkdtemp(prefix="fairway-tests-"))
    both = Servers(Mongo(folder), Redis(folder))
    try:
        both.mongo.start()
        both.redis.start()
        yield both
    finally:
        both.redis.stop()
        both.mongo.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mongo_url(servers: Servers) -> str:
    """Return the address of the session's MongoDB."""
    return servers.mongo.url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Return the address of a Redis database of the session."""
    return servers.redis.url(1)


@pytest.fixture
def untouched(settings: Settings) -> Iterator[Settings]:
    """Return settings with databases that nobody has made anything in."""
    number = next(_numbers)
    own = settings.model_copy(
        update={
            "control_database": f"untouched_{number}",
            "data_databases": (f"untouched_{number}_data_1", f"untouched_{number}_data_2"),
        }
    )
    yield own
    with pymongo.MongoClient(own.mongo_url.get_secret_value()) as client:
        for name in (own.control_database, *own.data_databases):
            client.drop_database(name)


@pytest.fixture
def settings(servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Return settings with databases that are this test's own while it runs.

    Making collections and indexes takes a second, so what one test has emptied the next one takes over. A test
    that kills leaves behind what nobody knows: its databases are dropped.
    """
    number = next(_numbers)
    pair = number % (REDIS_DATABASES // 2)
    kills = "faults" in request.path.parts
    if not kills:
        number = REUSED
    own = Settings(
        mongo_url=servers.mongo.url,
        broker_url=servers.redis.url(2 * pair),
        redis_url=servers.redis.url(2 * pair + 1),
        control_database=f"test_{number}",
        data_databases=(f"test_{number}_data_1", f"test_{number}_data_2"),
        data_dir=tmp_path / "data",
        lease_s=2,
        sweep_s=0.3,
        linger_s=0.2,
        grace_s=5,
        rate_limits="off",
    )
    for url in (own.broker_url, own.redis_url):
        with redis.Redis.from_url(url.get_secret_value()) as client:
            client.flushdb()
    yield own
    with pymongo.MongoClient(servers.mongo.url) as client:
        for name in (own.control_database, *own.data_databases):
            if kills:
                client.drop_database(name)
            else:
                _empty(client[name])


def _empty(database: "pymongo.database.Database[Any]") -> None:
    """Delete every document; a large collection, or a test's or an organization's own, is dropped."""
    for name in database.list_collection_names():
        collection = database[name]
        if collection.estimated_document_count() > MANY or name.startswith("probe") or "." in name:
            collection.drop()
        else:
            collection.delete_many({})
