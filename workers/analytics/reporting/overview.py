"""The overview: one page of HTML that needs nothing else, with the statistics of a range as pictures."""

import base64
import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workers.analytics.reporting.pictures import HEIGHT, WIDTH, trend

NAME_MAX_CHARS = 80
_HERE = Path(__file__).parent
_STYLE = (_HERE / "overview.css").read_text(encoding="utf-8")
_POLICY = "default-src 'none'; style-src 'sha256-{}'"
_TICK = timedelta(milliseconds=1)
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SPLITS = (("Status", "by_status"), ("Urgency", "by_urgency"), ("Sentiment", "by_sentiment"))


@dataclass(frozen=True)
class _Part:
    """A row of a table with a bar: *share* of the whole, from 0 to 1, and *length* of the longest bar."""

    name: str
    count: int
    share: float
    length: float


def overview(statistics: Mapping[str, Any], *, organization: str, source: str | None) -> bytes:
    """Return the page for *statistics*, in the shape that the API shows, of all sources or of *source*."""
    total = statistics["total"]
    page = _TEMPLATE.render(
        statistics=statistics,
        organization=organization,
        source=source,
        trend=trend(statistics["daily_trend"]),
        cut=_cut(statistics["range"], statistics["tz"]),
        width=WIDTH,
        height=HEIGHT,
        splits=[(title, _split(statistics[name], total)) for title, name in _SPLITS],
        keywords=_listed(statistics["top_keywords"], "keyword", total),
        customers=_listed(statistics["at_risk_customers"], "customer_id", total),
        style=_STYLE,
        policy=_POLICY.format(base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()),
    )
    return page.encode("utf-8")


def shown_name(text: str) -> str:
    """Return a name that somebody chose as a page may show it: short, and without signs that move others about."""
    kept = "".join("\ufffd" if unicodedata.category(one)[0] == "C" else one for one in text[: NAME_MAX_CHARS + 1])
    return kept if len(kept) <= NAME_MAX_CHARS else f"{kept[: NAME_MAX_CHARS - 1]}…"


def duration(seconds: float | None) -> str:
    """Return a duration in its largest unit, to two or three figures: `840.2` is 14 min."""
    if seconds is None:
        return "none"
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.{0 if seconds >= 10 * size else 1}f} {name}"
    return "< 1 s"


def at(instant: str, tz: str) -> str:
    """Return an instant of the API as the clocks of a zone show it, to the minute."""
    return f"{datetime.fromisoformat(instant).astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M}"


def _cut(asked: Mapping[str, str], tz: str) -> str:
    """Say which days the range shows a part of, as the zone has them; nothing if it begins and ends with a day."""
    begin, end = (_inside_a_day(asked[one], tz) for one in ("from", "to"))
    if begin and end:
        return f"The first day counts from {begin} on, and the last one to {end}."
    if begin:
        return f"The first day counts from {begin} on."
    return f"The last day counts to {end}." if end else ""


def _inside_a_day(instant: str, tz: str) -> str:
    """Return what a zone's clocks show at an instant, or nothing if a day begins with it, at whatever hour."""
    moment, zone = datetime.fromisoformat(instant), ZoneInfo(tz)
    is_first = (moment - _TICK).astimezone(zone).date() != moment.astimezone(zone).date()
    return "" if is_first else f"{moment.astimezone(zone):%H:%M}"


def _split(counts: Mapping[str, int], total: int) -> Sequence[_Part]:
    return [_part(name, count, total, longest=total) for name, count in counts.items()]


def _listed(entries: Sequence[Mapping[str, Any]], name: str, total: int) -> Sequence[_Part]:
    most = max((one["tickets"] for one in entries), default=1)
    return [_part(one[name], one["tickets"], total, longest=most) for one in entries]


def _part(name: str, count: int, total: int, *, longest: int) -> _Part:
    return _Part(name, count, count / max(1, total), count / max(1, longest))


_TEMPLATE_FILES = Environment(
    loader=FileSystemLoader(_HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATE_FILES.filters.update(named=shown_name, duration=duration, at=at)
_TEMPLATE = _TEMPLATE_FILES.get_template("overview.html")
