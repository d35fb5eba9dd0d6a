"""Where files lie, as one URL says it.

file:///absolute/path
s3://KEY:SECRET@host[:port]/bucket[/prefix]?region=…&downloads=signed|through       over TLS
s3+http://KEY:SECRET@host[:port]/bucket[/prefix]?…&insecure=yes                      in clear
"""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from common.errors import Misconfigured

DEFAULT_REGION = "us-east-1"
_KNOWN = {"region", "downloads", "insecure"}
_WORD = re.compile(r"[a-z_-]{1,30}\Z")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}\Z|[0-9A-Fa-f:.]{2,45}\Z")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\Z")
_REGION = re.compile(r"[a-z0-9-]{1,40}\Z")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9!_.*'()-]{1,255}\Z")


@dataclass(frozen=True)
class FolderLocation:
    """A folder of this machine, or one that is mounted on it."""

    path: Path


@dataclass(frozen=True)
class S3Location:
    """A bucket, or what lies under a prefix of it. Without keys boto3 looks for some in its own places."""

    endpoint_url: str
    bucket: str
    prefix: str
    region: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    downloads: Literal["signed", "through"] = "signed"

    def key(self, blob_id: str) -> str:
        """Return the key of a file in the bucket."""
        return f"{self.prefix}/{blob_id}" if self.prefix else blob_id


def parse_location(url: str, *, production: bool) -> FolderLocation | S3Location:
    """Read where files lie. Raises `Misconfigured`, which never repeats what may be a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # What urllib complains of may be a piece of the secret.
        raise _wrong("has a host or port that can't be read. Percent-encode what is special in a key") from None
    if parts.fragment:
        raise _wrong("holds a '#'. Write it as %23")
    match parts.scheme:
        case "file":
            return _folder(parts)
        case "s3" | "s3+http":
            return _s3(parts, port, production=production)
        case _:
            raise _wrong("begins with none of file://, s3:// and s3+http://")


def _folder(parts: SplitResult) -> FolderLocation:
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or not path.startswith("/") or parts.query:
        raise _wrong("must name a folder as file:///absolute/path, and nothing more")
    if "\0" in path:
        raise _wrong("names a folder that can't be")
    return FolderLocation(Path(path))


def _s3(parts: SplitResult, port: int | None, *, production: bool) -> S3Location:
    options = _options(parts.query)
    host = parts.hostname or ""
    if not _HOST.match(host):
        raise _wrong("needs a host: s3://KEY:SECRET@host/bucket")
    _refuse_in_clear(parts.scheme, host, options, production=production)
    access_key, secret_key = _keys(parts)
    bucket, prefix = _bucket(parts.path)
    return S3Location(
        endpoint_url=_endpoint(parts.scheme, host, port),
        bucket=bucket,
        prefix=prefix,
        region=_region(options),
        access_key=access_key,
        secret_key=secret_key,
        downloads=_downloads(options),
    )


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, _ in pairs:
        if name not in _KNOWN:
            shown = name if _WORD.match(name) else "one that is no word"
            raise _wrong(f"has an unknown parameter: {shown}. There are {', '.join(sorted(_KNOWN))}")
    options = dict(pairs)
    if len(options) != len(pairs):
        raise _wrong("has a parameter twice")
    return options


def _refuse_in_clear(scheme: str, host: str, options: dict[str, str], *, production: bool) -> None:
    insecure = options.get("insecure")
    if insecure is not None and (scheme != "s3+http" or insecure != "yes"):
        raise _wrong("may say insecure=yes with s3+http:// only, and nothing else of it")
    if scheme == "s3+http" and production and insecure is None and not _is_loopback(host):
        raise _wrong(
            "would send files in clear over the network. Use s3://, or add insecure=yes if nobody else is on it"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _keys(parts: SplitResult) -> tuple[str | None, str | None]:
    if parts.username is None and parts.password is None:
        return None, None
    if not parts.username or not parts.password:
        raise _wrong("has one half of the keys. Give KEY:SECRET, or neither")
    return unquote(parts.username), unquote(parts.password)


def _bucket(path: str) -> tuple[str, str]:
    bucket, *segments = [unquote(segment) for segment in path.strip("/").split("/")]
    if not _BUCKET.match(bucket):
        raise _wrong("needs the name of a bucket after the host. Percent-encode what is special in a key")
    if not all(_SEGMENT.match(segment) for segment in segments):
        raise _wrong("has a prefix of more than letters, digits and !_.*'()-")
    return bucket, "/".join(segments)


def _endpoint(scheme: str, host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if scheme == 's3' else 'http'}://{shown}{f':{port}' if port else ''}"


def _region(options: dict[str, str]) -> str:
    region = options.get("region", DEFAULT_REGION)
    if not _REGION.match(region):
        raise _wrong("has a region of more than small letters, digits and dashes")
    return region


def _downloads(options: dict[str, str]) -> Literal["signed", "through"]:
    match options.get("downloads", "signed"):
        case "signed":
            return "signed"
        case "through":
            return "through"
        case _:
            raise _wrong("may say downloads=signed or downloads=through")


def _wrong(what: str) -> Misconfigured:
    return Misconfigured(f"The URL of the store of files {what}.")
