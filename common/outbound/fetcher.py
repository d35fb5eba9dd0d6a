"""One guarded GET: to judged addresses only, with bounds on time and size, and no more secrets than are meant."""

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from common.errors import AddressRefused, AnswerRefused, HostIll
from common.outbound.addresses import Addresses
from common.outbound.body import read_body
from common.outbound.connecting import Call, JudgedBackend
from common.outbound.sent_headers import header_lines
from common.outbound.url import Url, join

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEPT_CONNECTIONS = 16
_KEPT_S = 30.0
_HEADER_TOO_LONG = 431
_BROKEN = (httpcore.NetworkError, httpcore.RemoteProtocolError)
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class FetchLimits:
    """What a host may take of us: time to connect, for a sign of life, for the whole call; bytes; redirects."""

    connect_s: float = 10.0
    read_s: float = 30.0
    whole_s: float = 60.0
    body_bytes: int = 32 * 1024**2
    redirects: int = 3


@dataclass(frozen=True)
class Answer:
    """What a host said, from *url* in the end; *body* is unpacked.

    Names of headers are in small letters; what is said under one name twice is joined by a comma.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


DEFAULT_LIMITS = FetchLimits()


class Fetcher:
    """Makes the calls of one process; threads may share it, connections are kept for the next call.

    Neither proxies nor credentials of the environment are looked at. *trust* says whose certificates count;
    without it, those that the system and certifi know.
    """

    def __init__(
        self, addresses: Addresses, limits: FetchLimits = DEFAULT_LIMITS, *, trust: ssl.SSLContext | None = None
    ) -> None:
        self._addresses = addresses
        self._limits = limits
        self._call = Call()
        self._timeouts = {"connect": limits.connect_s, "read": limits.read_s, "write": limits.read_s}
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust or httpcore.default_ssl_context(),
            max_connections=None,  # a thread has one call at a time
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=JudgedBackend(addresses, self._call),
        )

    def get(
        self, url: str, *, headers: Mapping[str, str] = _NONE, secret_headers: Mapping[str, str] = _NONE
    ) -> Answer:
        """Fetch *url*, and follow its redirects as far as they may be followed; any status is an answer.

        *secret_headers* are for the host that was asked: a redirect to another origin is told none of them, nor is
        whatever comes after it. Raises `AddressRefused`, `AnswerRefused` and `HostIll`.
        """
        self._call.deadline_at = time.monotonic() + self._limits.whole_s
        at = self._addresses.check_url(url)
        for _ in range(self._limits.redirects + 1):
            answer = self._get_once(at, {**headers, **secret_headers})
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or not location:
                return answer
            came_from, at = at, self._follow(at, location)
            if at.origin != came_from.origin:
                secret_headers = _NONE
        raise AnswerRefused(f"{at.host} redirects more than {self._limits.redirects} times.")

    def close(self) -> None:
        """Close the connections that were kept."""
        self._pool.close()

    def _follow(self, at: Url, location: str) -> Url:
        try:
            return self._addresses.check_url(join(at, location))
        except AddressRefused as error:
            raise AddressRefused(f"{at.host} redirects to where nothing may be called. {error.detail}") from None

    def _get_once(self, url: Url, headers: Mapping[str, str]) -> Answer:
        request = httpcore.Request(
            "GET",
            httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=header_lines(url, headers),
            extensions={"timeout": self._timeouts},
        )
        self._call.url = url
        with _in_our_words(url.host):
            response = self._send(request)
            try:
                return self._answer(url, response)
            finally:
                response.close()

    def _send(self, request: httpcore.Request) -> httpcore.Response:
        """Send on a kept connection or a new one.

        A host may close a kept one while the request is on its way. That says nothing of the host, so it is asked
        again until a new connection has been made for it.
        """
        while True:
            self._call.has_connected = False
            try:
                return self._pool.handle_request(request)
            except _BROKEN:
                if self._call.has_connected:
                    raise

    def _answer(self, url: Url, response: httpcore.Response) -> Answer:
        headers = _headers(response)
        body = read_body(response.iter_stream(), headers, self._limits.body_bytes)
        _give_up_if_more_was_said(response)
        return Answer(response.status, headers, body, str(url))


def _give_up_if_more_was_said(response: httpcore.Response) -> None:
    """Close the connection if anything came after the answer: it would be taken for the answer to the next call.

    httpcore keeps it in the parser, has no word for it, and looks at the socket only before it uses it again.
    """
    stream: Any = response.stream
    unread, _ = stream._stream._connection._h11_state.trailing_data  # noqa: SLF001 (there is no public way)
    if unread:
        response.extensions["network_stream"].close()


def _headers(response: httpcore.Response) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@contextmanager
def _in_our_words(host: str) -> Iterator[None]:
    """Turn httpcore's errors into ours; theirs may repeat what the host or the caller said."""
    try:
        yield
    except httpcore.ConnectError as error:
        raise HostIll(_why_no_connection(host, error)) from None
    except httpcore.TimeoutException:
        raise HostIll(f"{host} did not answer in time.") from None
    except httpcore.ProtocolError as error:
        if _is_header_too_long(error):
            raise AnswerRefused(f"{host} sends longer headers than are taken.") from None
        raise HostIll(f"{host} broke off, or answered in something else than HTTP.") from None
    except httpcore.NetworkError:
        raise HostIll(f"The connection to {host} broke off.") from None


def _why_no_connection(host: str, error: httpcore.ConnectError) -> str:
    match error.args:
        case (ssl.SSLCertVerificationError(verify_message=why),):
            return f"The certificate of {host} can't be trusted: {why.rstrip('.')}."
        case (ssl.SSLError(),):
            return f"{host} does not agree on a way to speak TLS."
        case _:
            return f"{host} can't be connected to."


def _is_header_too_long(error: httpcore.ProtocolError) -> bool:
    """Tell whether h11 gave up on a header; httpcore keeps h11's error as its own one's argument."""
    return any(getattr(cause, "error_status_hint", None) == _HEADER_TOO_LONG for cause in error.args)
