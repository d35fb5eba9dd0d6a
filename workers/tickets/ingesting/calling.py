"""One page of a source: with a permit, behind the breaker, and nothing waits in a worker."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from common.connectors.connector import Asked, Connector, Page
from common.coordination.rate_limiter import SlidingWindow
from common.errors import AddressRefused, Defer, JobFailed, RateLimited, SourceAsksToWait, Unavailable
from common.outbound.fetcher import Answer
from common.outbound.url import read_url
from common.sources.source import Source
from common.tickets.fields import YEARS
from workers.context import Context
from workers.outside import WITHOUT_REDIS_WAITS_S
from workers.tickets.ingesting.turning import TOO_LARGE

PAGE_MAX_BYTES = 16 * 1024**2
"""A page is written in one transaction, and MongoDB refuses those that do not fit into its cache."""

_SERVER_ERROR = 500


@dataclass(frozen=True)
class Origin:
    """Where tickets come from: a source, and what knows its API."""

    source: Source
    connector: Connector


class Calls:
    """The calls of one run to its source."""

    def __init__(self, ctx: Context, of: Origin) -> None:
        source = of.source
        self._ctx = ctx
        self._connector = of.connector
        credentials = ctx.services.sources.credentials_of(ctx.org_id, source)
        self._secret_headers = of.connector.secret_headers(credentials)
        per_minute = SlidingWindow(ctx.services.settings.ingest_requests_per_minute, per_s=60)
        self._origin = read_url(source.base_url).origin
        self._host = host_of(source.base_url)
        self._outside = ctx.outside(self._host, source.source_id, (per_minute,))
        rate = source.rate
        self._own = SlidingWindow(rate.limit, per_s=rate.per_s) if rate is not None else None
        self._own_key = f"source:{ctx.org_id}:{source.source_id}"

    def ask(self, asked: Asked) -> tuple[Page, datetime | None]:
        """Return the page that *asked* is answered with, and the time by the source's clock, if it says it.

        Raises `HeldBack` or `Defer` if this has to wait, `HostIll` if it may be tried again soon, and else what
        `Fetcher.get` and `Connector.page` raise.
        """
        if read_url(asked.url).origin != self._origin:
            raise AddressRefused("The source's secrets are for another host than the one that is to be asked.")
        has_permit = self._has_own_permit()
        try:
            with self._outside.call():
                if not has_permit:
                    self._take_own_permit()
                answer = self._ctx.services.fetcher.get(
                    asked.url, headers=asked.headers, secret_headers=self._secret_headers
                )
                if answer.status >= _SERVER_ERROR:
                    self._read(answer)
            # What is no page by this source's own description says nothing of the host, which others call as well.
            return self._read(answer), _date(answer.headers)
        except SourceAsksToWait as wait:
            raise self._outside.told_to_wait(wait.retry_after_s) from wait

    def _read(self, answer: Answer) -> Page:
        if len(answer.body) > PAGE_MAX_BYTES:
            raise JobFailed(f"The source sent a page of more than {PAGE_MAX_BYTES} bytes.", code=TOO_LARGE)
        try:
            return self._connector.page(answer.url, answer.status, answer.headers, answer.body)
        except SourceAsksToWait:
            if answer.status >= _SERVER_ERROR:  # it is held back, and its breaker is not told that it is ill
                self._ctx.log.info("source.asks_to_wait", host=self._host, status=answer.status)
            raise

    def _has_own_permit(self) -> bool:
        """Tell whether the permit of the source's own lower limit is taken already, or needs no taking.

        Else there is one, and nobody but this run takes it; or `RateLimited` is raised, without a place in a line:
        who waits there is counted by whoever takes, and there is nobody else.
        """
        if self._own is None:
            return True
        limiter = self._ctx.services.outside_limiter
        with _or_wait():
            if limiter.look(self._own_key, self._own).standings[0].remaining:
                return False
            verdict = limiter.take(self._own_key, self._own)
        if not verdict.allowed:
            raise RateLimited("The source's own limit is used up.", retry_after_s=verdict.retry_after_s)
        return True

    def _take_own_permit(self) -> None:
        if self._own is not None:
            with _or_wait():
                self._ctx.services.outside_limiter.take(self._own_key, self._own)


@contextmanager
def _or_wait() -> Iterator[None]:
    """Let the run wait while Redis does not answer: a call that nobody counts could break a limit."""
    try:
        yield
    except Unavailable as error:
        raise Defer(WITHOUT_REDIS_WAITS_S, "coordination_unavailable") from error


def host_of(url: str) -> str:
    """Return what permits and breakers go by: the host, and its port where that is not the usual one.

    Each way to write an address is the same host. Raises `AddressRefused`.
    """
    at = read_url(url)
    usual = {"https": 443, "http": 80}.get(at.scheme)
    host = f"[{at.host}]" if ":" in at.host else at.host
    return host if at.port == usual else f"{host}:{at.port}"


def _date(headers: Mapping[str, str]) -> datetime | None:
    """Return what the source's clock says, in years that tickets have."""
    try:
        at = parsedate_to_datetime(headers["date"]).astimezone(UTC)
        return at if YEARS[0] <= at.year <= YEARS[1] else None
    except (KeyError, ValueError, TypeError, OverflowError, IndexError):
        return None
