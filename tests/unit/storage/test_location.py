"""The URL of the store: each form, each mistake in a sentence, and never a secret in one."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import Settings, load
from common.errors import Misconfigured
from common.storage.folder import FolderBlobStore
from common.storage.location import FolderLocation, S3Location, parse_location
from common.storage.open_store import open_store

SECRET = "hush-hush"


def parsed(url: str, *, production: bool = True) -> FolderLocation | S3Location:
    return parse_location(url, production=production)


def s3(url: str, *, production: bool = True) -> S3Location:
    location = parsed(url, production=production)
    assert isinstance(location, S3Location)
    return location


def test_a_folder_is_an_absolute_path() -> None:
    assert parsed("file:///srv/with%20space") == FolderLocation(Path("/srv/with space"))


def test_a_bucket_is_reached_over_tls() -> None:
    location = s3(f"s3://KEY:{SECRET}@s3.example.com/bucket/a/b?region=eu-west-1&downloads=through")

    assert location == S3Location(
        endpoint_url="https://s3.example.com",
        bucket="bucket",
        prefix="a/b",
        region="eu-west-1",
        access_key="KEY",
        secret_key=SECRET,
        downloads="through",
    )
    assert location.key("id") == "a/b/id"


def test_what_is_left_out_has_a_default() -> None:
    location = s3("s3://s3.example.com/bucket/")

    assert (location.access_key, location.secret_key) == (None, None)
    assert (location.region, location.downloads, location.key("id")) == ("us-east-1", "signed", "id")


@pytest.mark.parametrize(
    ("url", "endpoint_url"),
    [
        ("s3://host:9000/bucket", "https://host:9000"),
        ("s3+http://127.0.0.1:9000/bucket", "http://127.0.0.1:9000"),
        ("s3+http://localhost/bucket", "http://localhost"),
        ("s3+http://[::1]:9000/bucket", "http://[::1]:9000"),
        ("s3+http://minio:9000/bucket?insecure=yes", "http://minio:9000"),
    ],
)
def test_host_and_port_make_the_endpoint(url: str, endpoint_url: str) -> None:
    assert s3(url).endpoint_url == endpoint_url


def test_in_clear_over_the_network_is_refused_in_production_only() -> None:
    with pytest.raises(Misconfigured, match="in clear"):
        parsed("s3+http://minio:9000/bucket")

    assert s3("s3+http://minio:9000/bucket", production=False).endpoint_url == "http://minio:9000"


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_any_key_may_be_given_percent_encoded(access_key: str, secret_key: str) -> None:
    access_key, secret_key = (text.encode("utf-8", "replace").decode() for text in (access_key, secret_key))

    location = s3(f"s3://{quote(access_key, safe='')}:{quote(secret_key, safe='')}@host/bucket")

    assert (location.access_key, location.secret_key) == (access_key, secret_key)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "begins with none of"),
        ("blobs", "begins with none of"),
        (f"gs://KEY:{SECRET}@host/bucket", "begins with none of"),
        ("file://blobs", "file:///absolute/path"),
        ("file://host/blobs", "file:///absolute/path"),
        ("file:blobs", "file:///absolute/path"),
        ("file:///blobs?mode=1", "file:///absolute/path"),
        ("file:///a%00b", "folder that can't be"),
        (f"s3://KEY:{SECRET}@/bucket", "needs a host"),
        (f"s3://KEY:{SECRET}@host", "needs the name of a bucket"),
        (f"s3://KEY:{SECRET}@host/b", "needs the name of a bucket"),
        (f"s3://KEY:{SECRET}@host/bu%2Fcket", "needs the name of a bucket"),
        (f"s3://KEY:{SECRET}@host/bucket/../x", "has a prefix"),
        (f"s3://KEY:{SECRET}@host/bucket/a//b", "has a prefix"),
        (f"s3://{SECRET}@host/bucket", "one half of the keys"),
        (f"s3://:{SECRET}@host/bucket", "one half of the keys"),
        (f"s3://KEY:{SECRET}@host/bucket?colour=red", "unknown parameter: colour"),
        (f"s3://KEY:{SECRET}@host/bucket?{SECRET}/=1", "unknown parameter: one that is no word"),
        (f"s3://KEY:{SECRET}@host/bucket?region=a&region=b", "twice"),
        (f"s3://KEY:{SECRET}@host/bucket?region=Europe!", "has a region"),
        (f"s3://KEY:{SECRET}@host/bucket?downloads=maybe", "downloads=signed or"),
        (f"s3://KEY:{SECRET}@host/bucket?insecure=yes", "insecure=yes with s3"),
        (f"s3+http://KEY:{SECRET}@host/bucket?insecure=no", "insecure=yes with s3"),
        (f"s3://KEY:{SECRET}@host:port/bucket", "host or port"),
        (f"s3://KEY:{SECRET}@host:99999/bucket", "host or port"),
        (f"s3://KEY:a/{SECRET}@host/bucket", "Percent-encode"),
        (f"s3://KEY:a#{SECRET}@host/bucket", "Percent-encode"),
        (f"s3://KEY:{SECRET}@host/bucket#there", "%23"),
        (f"s3://KEY:a?{SECRET}@host/bucket", "Percent-encode"),
        (f"s3://KEY:[{SECRET}@host/bucket", "host or port"),
        (f"s3://KEY:\u2100{SECRET}@host/bucket", "host or port"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_without_the_secret(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as told:
        parsed(url)

    assert SECRET not in told.value.detail
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_a_location_does_not_show_its_keys() -> None:
    assert SECRET not in repr(s3(f"s3://KEY:{SECRET}@host/bucket"))


@given(st.text(max_size=200) | st.text(max_size=80).map(lambda text: f"s3://{text}"))
def test_whatever_is_given_is_a_location_or_a_mistake(url: str) -> None:
    try:
        location: FolderLocation | S3Location | None = parsed(url)
    except Misconfigured:
        location = None

    assert location is None or isinstance(location, FolderLocation | S3Location)


def test_a_bad_setting_is_named_at_the_start_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRWAY_STORAGE_URL", f"s3://KEY:{SECRET}@host/bucket?colour=red")

    with pytest.raises(Misconfigured, match=r"FAIRWAY_STORAGE_URL: .*colour") as told:
        load()

    assert SECRET not in told.value.detail


def test_the_setting_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRWAY_STORAGE_URL", f"s3://KEY:{SECRET}@host/bucket")

    assert SECRET not in repr(Settings())


def test_without_a_url_files_lie_in_the_default_folder(tmp_path: Path) -> None:
    store = open_store(None, default=tmp_path / "blobs", production=True)

    assert isinstance(store, FolderBlobStore)
    assert (tmp_path / "blobs").is_dir()


def test_a_folder_that_can_not_be_made_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Misconfigured, match=r"file/blobs can't be used: Not a directory"):
        open_store(f"file://{tmp_path}/file/blobs", default=tmp_path, production=True)
