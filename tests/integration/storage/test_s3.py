"""S3 as it is set up: who may ask, what a signed address gives, and what a wrong setting says."""

import itertools
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from common.config import Settings
from common.errors import Misconfigured, StorageUnavailable
from common.ids import new_id
from common.storage.blob_store import BlobStore
from common.storage.s3_upload import PART_BYTES
from tests.integration.storage.conftest import blocks, opened
from tests.integration.storage.s3_server import S3Server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(s3: S3Server, session_s3_store: BlobStore) -> BlobStore:
    del s3
    return session_s3_store


def signed(store: BlobStore, blob_id: str, *, media_type: str = "text/csv", lasts_s: int = 60) -> str:
    url = store.url(blob_id, filename="Bericht Müller.csv", media_type=media_type, inline=False, lasts_s=lasts_s)
    assert url is not None
    return url


def test_a_wrong_secret_is_refused_by_the_server(s3: S3Server) -> None:
    stranger = opened(s3.url_with(secret_key="wrong"))

    with pytest.raises(StorageUnavailable, match="refuses this service"):
        stranger.save([b"x"], max_bytes=1)

    assert s3.stored() == []


def test_a_signed_address_gives_the_file_under_its_name_and_type(store: BlobStore) -> None:
    blob = store.save(blocks(1), max_bytes=10**7)

    answer = httpx.get(signed(store, blob.id))

    assert answer.content == b"".join(blocks(1))
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"Bericht M_ller.csv\"; filename*=UTF-8''Bericht%20M%C3%BCller.csv"
    )


def test_a_signed_address_gives_ranges(store: BlobStore) -> None:
    blob = store.save([b"0123456789"], max_bytes=10)

    answer = httpx.get(signed(store, blob.id), headers={"Range": "bytes=2-4"})

    assert (answer.status_code, answer.content) == (206, b"234")


@pytest.mark.parametrize("part", ["X-Amz-Signature", "X-Amz-Expires", "response-content-disposition", "path"])
def test_a_signed_address_that_was_changed_gives_nothing(store: BlobStore, part: str) -> None:
    first, second = (store.save([content], max_bytes=9).id for content in (b"mine", b"another's"))
    url = signed(store, first)
    value = first if part == "path" else parse_qs(urlsplit(url).query)[part][0]
    changed = {"X-Amz-Signature": "0" * 64, "X-Amz-Expires": "600", "path": second}.get(part, "inline")
    address = httpx.URL(url)
    forged = httpx.URL(url.replace(first, second)) if part == "path" else address.copy_set_param(part, changed)

    answer = httpx.get(forged)

    assert value != changed
    assert answer.status_code == 403
    assert "SignatureDoesNotMatch" in answer.text


def test_a_signed_address_ends(store: BlobStore) -> None:
    blob = store.save([b"x"], max_bytes=1)
    url = signed(store, blob.id, lasts_s=0)

    statuses = (httpx.get(url).status_code for _ in itertools.count())

    assert next(status for status in statuses if status != 200) == 403


def test_a_stranger_s_signed_address_gives_nothing(s3: S3Server, store: BlobStore) -> None:
    blob = store.save([b"x"], max_bytes=1)

    answer = httpx.get(signed(opened(s3.url_with(secret_key="wrong")), blob.id))

    assert answer.status_code == 403


def test_a_signed_address_is_of_a_week_at_most(store: BlobStore) -> None:
    url = signed(store, new_id(), lasts_s=10**9)

    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(7 * 24 * 3600)]


@pytest.mark.parametrize("media_type", ["text/html\r\nX-Evil: 1", "text", "", 'text/csv; a="b"', "é/é"])
def test_what_is_no_media_type_is_given_as_bytes(store: BlobStore, media_type: str) -> None:
    url = signed(store, new_id(), media_type=media_type)

    assert parse_qs(urlsplit(url).query)["response-content-type"] == ["application/octet-stream"]


def test_where_downloads_go_through_us_there_is_no_address(s3: S3Server) -> None:
    store = opened(s3.url_with(options="downloads=through"))

    assert store.url(new_id(), filename="a", media_type="text/csv", inline=False, lasts_s=60) is None


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"secret_key": "wrong"}, "refuses us"),
        ({"access_key": "UNKNOWN"}, "refuses us"),
        ({"bucket": "there-is-none"}, "The bucket there-is-none at .* does not exist"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_named_at_the_start(
    s3: S3Server, wrong: dict[str, str], says: str
) -> None:
    store = opened(s3.url_with(**wrong))

    with pytest.raises(Misconfigured, match=says) as told:
        store.check()

    assert s3.secret_key not in told.value.detail
    assert "wrong" not in told.value.detail


def test_a_bucket_without_keys_anywhere_is_named_at_the_start(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = opened(f"s3+http://127.0.0.1:{s3.port}/{s3.bucket}")

    with pytest.raises(Misconfigured, match="there are no keys"):
        store.check()
    with pytest.raises(StorageUnavailable):
        store.save([b"x"], max_bytes=1)


def test_a_profile_that_is_not_there_is_named_at_the_start(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(Misconfigured, match="nobody"):
        opened(f"s3+http://127.0.0.1:{s3.port}/{s3.bucket}")


def test_keys_may_come_from_where_boto3_looks(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    store = opened(f"s3+http://127.0.0.1:{s3.port}/{s3.bucket}?region=eu-test-1")

    blob = store.save([b"x"], max_bytes=1)

    assert s3.stored() == [blob.id]


def test_a_bucket_that_is_gone_is_no_proof_that_a_file_never_was(s3: S3Server) -> None:
    store = opened(s3.url_with(bucket="there-is-none"))

    for ask in (store.exists, store.open):
        with pytest.raises(StorageUnavailable):
            ask(new_id())


def test_what_fits_into_a_part_is_one_request(s3: S3Server, store: BlobStore) -> None:
    store.save([b"x" * (PART_BYTES - 1)], max_bytes=PART_BYTES)

    assert s3.asked == ["put"]


def test_a_file_is_read_on_through_few_requests(s3: S3Server, store: BlobStore) -> None:
    blob = store.save(blocks(30), max_bytes=10**9)

    with store.open(blob.id) as file:
        while file.read(10_000):
            pass

    assert s3.asked.count("get") == 4


def test_s3_is_not_even_imported_where_files_lie_in_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys; from common.storage.open_store import open_store; from pathlib import Path;"
        "open_store(None, default=Path(sys.argv[1]), production=True); import common.services;"
        "print([name for name in sys.modules if name.startswith(('boto', 's3transfer'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "[]"


def test_the_services_of_a_process_keep_files_where_the_setting_says(s3: S3Server, settings: Settings) -> None:
    from pydantic import SecretStr

    from common.services import Services

    services = Services(settings.model_copy(update={"storage_url": SecretStr(s3.url)}))
    try:
        services.check()
        blob = services.blobs.save([b"x"], max_bytes=1)
    finally:
        services.close()

    assert s3.stored() == [f"some/prefix/{blob.id}"]
