"""From one page to the next: how a run goes on, when its pages are read again, and what ends it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson

from common.clock import rfc3339
from common.connectors.connector import Page
from common.errors import JobFailed
from common.tickets.sync import Incoming
from workers.tickets.ingesting.state import Pass, Stage, State

PAGES_MAX = 100_000
_CLOCK_COUNTS_BY = timedelta(seconds=2)
"""A source's clock shows whole seconds; its records may be dated more finely."""

EMPTY_PAGES_MAX = 10
RECORDS_OF_A_PAGE_MAX = 10_000
URL_MAX_CHARS = 8_192
ENDLESS, REPEATS, TOO_LARGE = "source-endless", "source-repeats", "page-too-large"


@dataclass(frozen=True)
class Turned:
    """A page that was read: where it was, what it held by the source's clock, and who was on it.

    Of its records *nameless* do not say which they are, and *others* are no tickets.
    """

    url: str
    page: Page
    at: datetime
    incoming: Sequence[Incoming]
    nameless: int = 0
    others: int = 0


def check(page: Page) -> None:
    """Raise `JobFailed` for a page that is more than is taken at once."""
    if len(page.records) > RECORDS_OF_A_PAGE_MAX:
        raise JobFailed(
            f"The source sent a page of {len(page.records)} records; at most {RECORDS_OF_A_PAGE_MAX} are taken.",
            code=TOO_LARGE,
        )
    if page.next is not None and len(page.next) > URL_MAX_CHARS:
        raise JobFailed("The source names a next page whose address is too long.", code=TOO_LARGE)


def after(state: State, turned: Turned, *, is_stable: bool, is_full: bool) -> State:
    """Return the state after the page, but for what became of its records.

    Raises `JobFailed` if the source would go on for ever: a page or an address that comes again, empty pages that
    each name a next one, more pages than are read.
    """
    newest_here = max((one.changed_at for one in turned.incoming if one.changed_at), default=None)
    changed = rfc3339(newest_here) if newest_here is not None else None
    now_on = _pass_after(state.now_on, turned)
    newest = max(filter(None, (state.newest, changed)), default=None)
    on = replace(state, pages=state.pages + 1, failures=0, newest=newest, url=turned.page.next, now_on=now_on)
    if turned.page.next is not None:
        return on
    if not is_stable and on.may_have_missed:
        return on.read_again
    stage: Stage = "clearing" if is_full else "ending"
    return replace(on, stage=stage)


def watermark(newest: str | None, began_at: str | None, now: datetime) -> str | None:
    """Return from when on the next run asks: at the latest from when the last walk over the pages *began_at*.

    What changed after that, on a page that was read already, was not seen. What the source dates later than *now*
    moves it no further.
    """
    return min(filter(None, (newest, began_at, rfc3339(now)))) if newest is not None else None


def since(mark: str | None, overlap: timedelta) -> datetime | None:
    """Return what an incremental run asks from: *overlap* before the mark, for what the source wrote down late."""
    try:
        return datetime.fromisoformat(mark) - overlap if mark is not None else None
    except (ValueError, OverflowError):  # of a version that believed any clock
        return None


def _pass_after(was: Pass, turned: Turned) -> Pass:
    page, content = turned.page, _content(turned)
    place = turned.url.encode()
    if was.places.is_back(place):
        raise JobFailed("The source's pages lead back to one that was read already.", code=REPEATS)
    if page.records and page.next is not None and was.contents.is_back(content):
        raise JobFailed("The source sends the same page again and again.", code=REPEATS)
    began_at = was.began_at or rfc3339(turned.at)
    moved = _has_moved(turned, datetime.fromisoformat(began_at))
    known = was.total is not None and page.total is not None
    now_on = replace(
        was,
        pages=was.pages + 1,
        empty=0 if page.records or page.passed_over else was.empty + 1,
        began_at=began_at,
        total=max((one for one in (was.total, page.total) if one is not None), default=None),
        records=was.records + len(page.records) + page.passed_over,
        nameless=was.nameless + turned.nameless,
        others=was.others + turned.others,
        has_moved=was.has_moved or moved or (known and page.total != was.total),
        places=was.places.on(place),
        contents=was.contents.on(content) if page.records else was.contents,
    )
    return _bounded(now_on, has_next=page.next is not None)


def _has_moved(turned: Turned, began_at: datetime) -> bool:
    """Tell whether a record was changed since; one that is dated later than now was not."""
    until = turned.at + _CLOCK_COUNTS_BY
    return any(one.changed_at is not None and began_at <= one.changed_at <= until for one in turned.incoming)


def _content(turned: Turned) -> bytes:
    """Return what a page says, but for what may differ each time that the same is said."""
    if not turned.incoming:
        try:
            return orjson.dumps(list(turned.page.records))
        except TypeError:  # nested deeper than can be written
            return f"{len(turned.page.records)} records".encode()
    return "\n".join(f"{one.natural_key} {one.content_hash}" for one in turned.incoming).encode()


def _bounded(now_on: Pass, *, has_next: bool) -> Pass:
    if has_next and now_on.empty >= EMPTY_PAGES_MAX:
        raise JobFailed(f"The source sent {now_on.empty} empty pages, each with a next one.", code=ENDLESS)
    if has_next and now_on.pages >= PAGES_MAX:
        raise JobFailed(f"The source has more than {PAGES_MAX} pages.", code=ENDLESS)
    return now_on
