"""Files whose bytes are on S3: the client is led there, and comes back for another address where that breaks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fairway import Fairway
from pydantic import SecretStr

from common.config import Settings
from common.services import Services
from tests.integration.client.conftest import Working
from tests.integration.storage.s3_server import S3Server, s3_server
from workers import runner

CONTENT = bytes(range(256)) * 2_000


@pytest.fixture
def s3() -> Iterator[S3Server]:
    """Return a store that gives files to whoever has their address."""
    with s3_server() as server:
        yield server


@pytest.fixture
def services(settings: Settings, s3: S3Server) -> Iterator[Services]:
    """Return services whose files are on S3."""
    runner.discover()
    made = Services(settings.model_copy(update={"storage_url": SecretStr(s3.url)}))
    made.prepare()
    yield made
    made.close()


def test_a_download_from_s3_survives_cuts_and_throttling(
    fairway: Fairway,
    working: Working,
    s3: S3Server,
    tmp_path: Path,
) -> None:
    (tmp_path / "sent.bin").write_bytes(CONTENT)
    room = fairway.make_room("Spring")
    job = fairway.wait(fairway.share(room.id, tmp_path / "sent.bin").id, within_s=20)
    assert job.state == "succeeded", job.error
    s3.asked.clear()
    s3.cut_after_bytes = 100_000
    s3.fail("get", "cut answer", times=2)
    s3.fail("get", "slow down")

    fairway.download(job.result["file_id"], tmp_path / "here.bin")

    assert (tmp_path / "here.bin").read_bytes() == CONTENT
    assert s3.asked == ["get"] * 4
    del working
