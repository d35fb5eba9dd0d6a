"""An S3 over real HTTP: moto's, behind a front that checks signatures and fails when it is told to."""

import contextlib
import functools
import secrets
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any, Literal
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import run_wsgi_app

from tests.integration.storage.signatures import Refusal, check_signature

REGION = "eu-test-1"
HANGS_S = 30

Operation = Literal[
    "put", "get", "head", "delete", "begin", "part", "finish", "abort", "list", "list uploads", "bucket", "other"
]
Fault = Literal["slow down", "hang", "cut answer", "cut request", "lose answer", "corrupt", "hold"]
"""What happens to a request.

slow down     503 SlowDown, and nothing is done
hang          no answer, and nothing is done
cut answer    the body ends after `cut_after_bytes`, and the connection with it
cut request   the connection ends in the middle of the request's body
lose answer   all is done, and the answer is 500
corrupt       a byte of the request's body changes on the way
hold          all waits until `release`, and is done then
"""


class S3Server:
    """One bucket of its own on a server of its own, and what tests do to it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.cut_after_bytes = 1000
        self.asked: list[Operation] = []
        self._application = application
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.access_key = f"AK{secrets.token_hex(8).upper()}"
        self.secret_key = f"{secrets.token_hex(8)}/+ {secrets.token_hex(8)}"
        self.bucket = f"fairway-{secrets.token_hex(6)}"
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=_Quiet)
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="s3", daemon=True)

    @property
    def url(self) -> str:
        """Return the setting FAIRWAY_STORAGE_URL for this bucket."""
        return self.url_with()

    def url_with(self, *, access_key: str = "", secret_key: str = "", bucket: str = "", options: str = "") -> str:
        """Return the setting with something else in it; *options* are further parameters."""
        key = quote(access_key or self.access_key, safe="")
        secret = quote(secret_key or self.secret_key, safe="")
        where = f"127.0.0.1:{self.port}/{bucket or self.bucket}/some/prefix"
        return f"s3+http://{key}:{secret}@{where}?region={REGION}{options and '&'}{options}"

    def fail(self, operation: Operation, fault: Fault, *, times: int = 1) -> None:
        """Let the next requests of that kind fail."""
        self._faults[operation].extend([fault] * times)

    def release(self) -> None:
        """Let go what hangs or is held."""
        self._released.set()

    def heal(self) -> None:
        """Forget the faults that have not come yet, and let go what they hold."""
        self._faults.clear()
        self.release()
        self._released = threading.Event()
        self.asked.clear()

    def stored(self) -> list[str]:
        """List what is visible."""
        answer = self._client.list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Contents", [])]

    def uploads(self) -> list[str]:
        """List the keys of the multipart uploads in progress."""
        answer = self._client.list_multipart_uploads(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Uploads", [])]

    def start(self) -> None:
        """Listen, and make the bucket."""
        self._thread.start()
        self._client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def empty(self) -> None:
        """Heal, and drop all that is stored or still coming."""
        self.heal()
        client = self._client
        for upload in client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        while keys := self.stored():
            for key in keys:
                client.delete_object(Bucket=self.bucket, Key=key)
        self.asked.clear()

    def stop(self) -> None:
        """Drop the bucket, and listen no more."""
        self.empty()
        self._client.delete_bucket(Bucket=self.bucket)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        operation = _operation(environ)
        fault = self._next_fault(operation)
        length_bytes = int(environ.get("CONTENT_LENGTH") or 0)
        if fault == "cut request":
            environ["wsgi.input"].read(length_bytes // 2)
            return _cut(environ)
        body = environ["wsgi.input"].read(length_bytes)
        if fault == "corrupt" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        try:
            check_signature(environ, body, Credentials(self.access_key, self.secret_key))
        except Refusal as refusal:
            status = "400 Bad Request" if refusal.code.endswith("Mismatch") else "403 Forbidden"
            return _error(start_response, status, refusal.code)
        match fault:
            case "slow down":
                return _error(start_response, "503 Slow Down", "SlowDown")
            case "hang":
                self._released.wait(HANGS_S)
                return _cut(environ)
            case "hold":
                self._released.wait(HANGS_S)
        pieces, status, headers = run_wsgi_app(self._application, {**environ, "wsgi.input": BytesIO(body)})
        if fault == "lose answer":
            return _error(start_response, "500 Internal Server Error", "InternalError")
        write = start_response(status, list(headers))
        return self._cut_short(environ, write, b"".join(pieces)) if fault == "cut answer" else pieces

    def _next_fault(self, operation: Operation) -> Fault | None:
        with self._lock:
            self.asked.append(operation)
            waiting = self._faults[operation]
            return waiting.popleft() if waiting else None

    def _cut_short(self, environ: dict[str, Any], write: Any, answer: bytes) -> Iterable[bytes]:
        write(answer[: self.cut_after_bytes])
        return _cut(environ)

    @functools.cached_property
    def _client(self) -> Any:
        """Return a client of the tests, which is signed and may be hit by faults like ours."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


class _Quiet(MotoRequestHandler):
    def log(self, *_: Any) -> None:
        """Say nothing of each request."""


def _operation(environ: dict[str, Any]) -> Operation:
    method = environ["REQUEST_METHOD"]
    query = environ["QUERY_STRING"]
    is_of_a_key = environ["PATH_INFO"].strip("/").count("/") > 0
    if not is_of_a_key:
        if method == "HEAD":
            return "bucket"
        return "other" if method != "GET" else "list uploads" if "uploads" in query else "list"
    match method:
        case "POST":
            return "finish" if "uploadId=" in query else "begin"
        case "PUT":
            return "part" if "uploadId=" in query else "put"
        case "DELETE":
            return "abort" if "uploadId=" in query else "delete"
        case "GET":
            return "get"
        case "HEAD":
            return "head"
    return "other"


def _error(start_response: Any, status: str, code: str) -> Iterable[bytes]:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'.encode()
    start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def _cut(environ: dict[str, Any]) -> Iterable[bytes]:
    """End the connection so that nothing more is read from it or written to it."""
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server with one empty bucket."""
    server = S3Server(DomainDispatcherApplication(create_backend_app))
    server.start()
    try:
        yield server
    finally:
        server.stop()
