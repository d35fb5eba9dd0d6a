"""What a real S3 does and moto does not: recompute each signature, of headers and of signed addresses alike."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_SKEW = timedelta(minutes=15)


class Refusal(Exception):
    """The request is not signed by whom it names; *code* is S3's name of the reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def check_signature(environ: dict[str, Any], body: bytes, keys: Credentials) -> None:
    """Raise `Refusal` unless the request, as it came over the wire, was signed with *keys*, and is of now."""
    query = dict(parse_qsl(urlsplit(environ["RAW_URI"]).query, keep_blank_values=True))
    if "X-Amz-Signature" in query:
        _check_query(environ, query, keys)
    else:
        _check_headers(environ, body, keys)


def _check_headers(environ: dict[str, Any], body: bytes, keys: Credentials) -> None:
    kind, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    given = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if kind != "AWS4-HMAC-SHA256" or set(given) != {"Credential", "SignedHeaders", "Signature"}:
        raise Refusal("AccessDenied")
    payload = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    if payload != hashlib.sha256(body).hexdigest():
        raise Refusal("XAmzContentSHA256Mismatch")
    signed = given["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed):
        raise Refusal("AccessDenied")
    signed_at = _instant(environ["HTTP_X_AMZ_DATE"])
    if abs(datetime.now(UTC) - signed_at) > _SKEW:
        raise Refusal("RequestTimeTooSkewed")
    region = _region(given["Credential"], keys)
    _compare(S3SigV4Auth(keys, "s3", region), environ, signed, signed_at, given["Signature"])


def _check_query(environ: dict[str, Any], query: dict[str, str], keys: Credentials) -> None:
    signed_at = _instant(query["X-Amz-Date"])
    if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
        raise Refusal("AccessDenied")
    region = _region(query["X-Amz-Credential"], keys)
    signed = query["X-Amz-SignedHeaders"].split(";")
    _compare(S3SigV4QueryAuth(keys, "s3", region), environ, signed, signed_at, query["X-Amz-Signature"])


def _region(credential: str, keys: Credentials) -> str:
    access_key, _, region, service, end = credential.split("/")
    if access_key != keys.access_key:
        raise Refusal("InvalidAccessKeyId")
    if (service, end) != ("s3", "aws4_request"):
        raise Refusal("AuthorizationHeaderMalformed")
    return region


def _compare(
    signer: S3SigV4Auth, environ: dict[str, Any], signed: list[str], signed_at: datetime, signature: str
) -> None:
    parts = urlsplit(environ["RAW_URI"])
    query = "&".join(pair for pair in parts.query.split("&") if not pair.startswith("X-Amz-Signature="))
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ['HTTP_HOST']}{parts.path}?{query}",
        headers={name: _header(environ, name) for name in signed},
    )
    request.context["timestamp"] = signed_at.strftime(SIGV4_TIMESTAMP)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    if expected != signature:
        raise Refusal("SignatureDoesNotMatch")


def _header(environ: dict[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}", ""))


def _instant(text: str) -> datetime:
    return datetime.strptime(text, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
