"""Downloads that are cut, resumed, led elsewhere and held against what is stored."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fairway import Fairway, NotWhole, Problem, Unreachable

from common.services import Services
from tests.integration.client.conftest import Working

CONTENT = bytes(range(256)) * 2_000


@pytest.fixture
def file_id(fairway: Fairway, working: Working, tmp_path: Path) -> str:
    """Return a file that is shared."""
    path = tmp_path / "sent.bin"
    path.write_bytes(CONTENT)
    room = fairway.make_room("Spring")
    found: str = fairway.wait(fairway.share(room.id, path).id, within_s=20).result["file_id"]
    del working
    return found


class Cut:
    """Cuts answers with bytes off after a while, *times* times, and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after_bytes: int, times: int = 1) -> None:
        self.ranges: list[str | None] = []
        real, left = httpx.Response.iter_raw, [times]

        def cutting(answer: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
            if not answer.url.path.endswith("/content") and answer.url.host == "test":
                yield from real(answer, chunk_size)
                return
            self.ranges.append(answer.request.headers.get("Range"))
            size_bytes = 0
            for chunk in real(answer, 10_000):
                yield chunk
                size_bytes += len(chunk)
                if left[0] and size_bytes >= after_bytes:
                    left[0] -= 1
                    raise httpx.ReadError("cut off")

        monkeypatch.setattr(httpx.Response, "iter_raw", cutting)


def test_a_download_that_is_cut_goes_on_where_it_was(
    fairway: Fairway, file_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut = Cut(monkeypatch, after_bytes=100_000, times=3)

    fairway.download(file_id, tmp_path / "here.bin")

    assert (tmp_path / "here.bin").read_bytes() == CONTENT
    assert cut.ranges == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert not list(tmp_path.glob(".*"))
    assert list(fairway.audit_log(action="file.downloaded"))


def test_a_download_goes_on_in_a_later_call(
    fairway: Fairway, file_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        Cut(patched, after_bytes=200_000)
        with pytest.raises(KeyboardInterrupt):
            fairway.download(file_id, tmp_path / "here.bin", seen=_until(200_000))
    assert not (tmp_path / "here.bin").exists()

    cut = Cut(monkeypatch, after_bytes=10**9)
    fairway.download(file_id, tmp_path / "here.bin")

    assert (tmp_path / "here.bin").read_bytes() == CONTENT
    assert cut.ranges == ["bytes=200000-"]


def _until(size_bytes: int) -> Any:
    def seen(done: int) -> None:
        if done >= size_bytes:
            raise KeyboardInterrupt

    return seen


def test_what_is_not_what_is_stored_is_not_kept(
    fairway: Fairway, file_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = httpx.Response.iter_raw

    def lying(answer: httpx.Response, chunk_size: int | None = None) -> Iterator[bytes]:
        for chunk in real(answer, chunk_size):
            yield chunk.replace(b"\x07", b"\x08") if answer.url.path.endswith("/content") else chunk

    monkeypatch.setattr(httpx.Response, "iter_raw", lying)
    with pytest.raises(NotWhole):
        fairway.download(file_id, tmp_path / "here.bin")

    assert not [*tmp_path.glob("here.bin"), *tmp_path.glob(".*")]


class OtherHost:
    """A store that gives to whoever has its address, and notes what it was asked with."""

    def __init__(self, content: bytes) -> None:
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.cut_after_bytes: int | None = None
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append({name.lower(): value for name, value in self.headers.items()})
                if host.status >= 400:
                    self.send_error(host.status)
                    return
                start = int(self.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
                self.send_response(206 if "Range" in self.headers else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.end_headers()
                end, host.cut_after_bytes = host.cut_after_bytes, None
                self.wfile.write(content[start:] if end is None else content[start:end])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/bucket/blob?signature=secret"


@pytest.fixture
def other_host(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[OtherHost]:
    """Let the bytes of all files be had elsewhere."""
    host = OtherHost(CONTENT)
    monkeypatch.setattr(type(services.blobs), "url", lambda *_, **__: host.address)
    yield host
    host.server.shutdown()
    host.server.server_close()


def test_no_credential_of_ours_goes_to_another_host(
    fairway: Fairway, file_id: str, other_host: OtherHost, tmp_path: Path
) -> None:
    fairway.download(file_id, tmp_path / "here.bin")

    assert hashlib.sha256((tmp_path / "here.bin").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    (asked,) = other_host.asked
    assert not {"authorization", "cookie", "idempotency-key", "referer"} & set(asked)
    assert fairway._token not in str(asked)


def test_a_download_from_another_host_is_resumed_there_under_a_new_address(
    fairway: Fairway, file_id: str, other_host: OtherHost, tmp_path: Path
) -> None:
    other_host.cut_after_bytes = 123_456

    fairway.download(file_id, tmp_path / "here.bin")

    assert (tmp_path / "here.bin").read_bytes() == CONTENT
    assert [one.get("range") for one in other_host.asked] == [None, "bytes=123456-"]
    assert list(fairway.audit_log(action="file.downloaded"))


def test_what_another_host_refuses_is_a_problem_and_leaves_no_file(
    fairway: Fairway, file_id: str, other_host: OtherHost, tmp_path: Path
) -> None:
    other_host.status = 403

    with pytest.raises(Problem) as refused:
        fairway.download(file_id, tmp_path / "here.bin")

    assert refused.value.status == 403
    assert not (tmp_path / "here.bin").exists()


class Odd(httpx.BaseTransport):
    """An API that tells of ten bytes and then answers as it likes."""

    def __init__(self, *answers: tuple[int, bytes, dict[str, str]]) -> None:
        self.asked: list[str | None] = []
        self._answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/content"):
            return httpx.Response(200, json=_document(b"0123456789"))
        self.asked.append(request.headers.get("Range"))
        status, content, headers = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return httpx.Response(status, content=iter([content]), headers=headers)


CUT, WHOLE = (200, b"0123", {}), (200, b"0123456789", {})


def _document(content: bytes) -> dict[str, Any]:
    names = "id name names size_bytes sha256 media_type state found problem added_by added_at links rooms"
    known = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "rooms": []}
    return {**dict.fromkeys(names.split(), ""), **known}


def download_from(api: Odd, folder: Path) -> bytes:
    with Fairway("http://test", token="t", transport=api) as fairway:
        fairway.download("f", folder / "here.bin")
    return (folder / "here.bin").read_bytes()


def test_who_knows_no_ranges_sends_it_all_again(tmp_path: Path) -> None:
    api = Odd(CUT, WHOLE)

    assert download_from(api, tmp_path) == b"0123456789"
    assert api.asked == [None, "bytes=4-"]


def test_a_range_that_was_not_asked_for_is_not_taken(tmp_path: Path) -> None:
    api = Odd(CUT, (206, b"56789", {"Content-Range": "bytes 5-9/10"}), WHOLE)

    assert download_from(api, tmp_path) == b"0123456789"
    assert api.asked == [None, "bytes=4-", None]


def test_a_range_that_is_not_there_is_begun_again(tmp_path: Path) -> None:
    api = Odd(CUT, (416, b"", {}), WHOLE)

    assert download_from(api, tmp_path) == b"0123456789"
    assert api.asked == [None, "bytes=4-", None]


def test_more_than_there_is_ends_the_download(tmp_path: Path) -> None:
    with pytest.raises(NotWhole):
        download_from(Odd((200, b"0123456789+", {})), tmp_path)

    assert not (tmp_path / "here.bin").exists()


def test_who_never_comes_further_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairway.transport.ATTEMPTS", 3)
    api = Odd(CUT)

    with pytest.raises(Unreachable):
        download_from(api, tmp_path)

    assert len(api.asked) == 4
