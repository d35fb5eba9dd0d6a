"""One request and its answer: problems become errors, and what may help is tried again.

Every POST that starts something goes out with an Idempotency-Key of its own, so that sending it once more, after
an answer that never came, starts nothing twice.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import httpx
import stamina

from fairway.errors import Problem, Unreachable

T = TypeVar("T")
ATTEMPTS = 8
WITHIN_S = 120.0
TIMEOUT = httpx.Timeout(10, read=60)
_AGAIN = frozenset({429, 503})


class Transport:
    """Asks the API at *url*; *token* gives the credential, asked anew when one no longer holds."""

    def __init__(
        self, url: str, token: Callable[[bool], str | None], transport: httpx.BaseTransport | None = None
    ) -> None:
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT, transport=transport)
        self._token = token

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        within_s: float | None = WITHIN_S,
        **body: Any,
    ) -> httpx.Response:
        """Return the answer of 2xx. Raises `Problem` or `Unreachable`.

        Nothing is begun again after *within_s* seconds (`None`: only attempts count, as for what takes long).
        """
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        sent = dict(headers or {})
        return self.patiently(lambda: self._send(method, path, asked, sent, body), within_s)

    def patiently(self, attempt: Callable[[], T], within_s: float | None = WITHIN_S) -> T:
        """Return what *attempt* returns, made again where that may help. Raises `Problem` or `Unreachable`."""
        try:
            for one in stamina.retry_context(on=_wait, attempts=ATTEMPTS, timeout=within_s, wait_max=15):
                with one:
                    return attempt()
        except httpx.TransportError as error:
            raise Unreachable(f"{self.http.base_url} does not answer: {error}.") from error
        raise AssertionError("unreachable: the loop returns or raises")  # pragma: no cover

    @contextmanager
    def stream(
        self, method: str, path: str, headers: Mapping[str, str], timeout: httpx.Timeout = TIMEOUT
    ) -> Iterator[httpx.Response]:
        """Give an answer of any status, as its body comes in; asked once, but for a credential that is over."""
        for renewed in (False, True):
            who = self.authorization(renewed=renewed)
            with self.http.stream(method, path, headers={**headers, **who}, timeout=timeout) as answer:
                if answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    continue
                yield answer
                return

    @cached_property
    def elsewhere(self) -> httpx.Client:
        """Return what asks other hosts: it knows no credential of ours, and follows nobody further."""
        return httpx.Client(timeout=TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
        if "elsewhere" in vars(self):
            self.elsewhere.close()

    def authorization(self, *, renewed: bool = False) -> dict[str, str]:
        """Return the header that says who asks."""
        token = self._token(renewed)
        return {"Authorization": f"Bearer {token}"} if token is not None else {}

    def _send(
        self, method: str, path: str, query: Mapping[str, Any], headers: Mapping[str, str], body: Mapping[str, Any]
    ) -> httpx.Response:
        who = self.authorization()
        answer = self.http.request(method, path, params=query, headers={**who, **headers}, **body)
        if answer.status_code == httpx.codes.UNAUTHORIZED and (again := self.authorization(renewed=True)) != who:
            answer = self.http.request(method, path, params=query, headers={**again, **headers}, **body)
        if not answer.is_success:
            raise problem_of(answer)
        return answer


def new_key() -> str:
    """Make an Idempotency-Key."""
    return secrets.token_urlsafe(18)


def problem_of(answer: httpx.Response) -> Problem:
    """Return what the API refused with."""
    after = answer.headers.get("Retry-After", "")
    try:
        document = answer.json()
    except ValueError:
        document = {"title": f"{answer.status_code} {answer.reason_phrase}", "detail": answer.text[:500]}
    return Problem(answer.status_code, document, float(after) if after.isdigit() else None)


def _wait(error: Exception) -> bool | float:
    """Tell whether to try again after *error*, and after how many seconds if the API said so.

    Who is told to come back in an hour, as at a quota of the hour, is not kept waiting without a word.
    """
    if isinstance(error, Problem):
        if error.status not in _AGAIN:
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s if error.retry_after_s <= WITHIN_S else False
    return isinstance(error, httpx.TransportError)
