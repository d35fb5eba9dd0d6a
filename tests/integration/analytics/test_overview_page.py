"""The overview in a real browser: nothing is fetched, nothing runs, all can be read in light and in dark."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from workers.analytics.reporting.overview import overview

READABLE, SEEN = 4.5, 3.0
"""What WCAG 2.2 asks of text and of graphics, as contrast."""

NAMES = (
    "c-4711",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "x" * 10_000,
    "'\"><img src=x onerror=alert(1)>",
    "客户",
)
CONTRASTS = """
() => {
  const channel = (value) => value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const contrast = (one, other) => {
    const [dark, light] = [luminance(parts(one)), luminance(parts(other))].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const [, , , alpha = 1] = parts(colour);
      if (alpha > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || ['TITLE', 'title', 'desc', 'STYLE'].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const what = node.textContent.trim().slice(0, 40);
    found.push({what, is: 'text', contrast: contrast(colour, behind(element))});
  }
  for (const bar of document.querySelectorAll('svg .value')) {
    const track = bar.parentElement.querySelector('.track');
    const fill = getComputedStyle(bar).fill;
    found.push({what: 'bar', is: 'picture', contrast: contrast(fill, behind(bar))});
    if (track) found.push({what: 'bar', is: 'picture', contrast: contrast(fill, getComputedStyle(track).fill)});
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a headless Chromium; a missing one is a failure, never a skip."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("Chromium is missing: apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=quiet)
        yield made
        made.close()


def statistics(days: int = 60, total: int = 7_790) -> dict[str, Any]:
    first = date(2026, 1, 1)
    daily = [{"date": (first + timedelta(days=at)).isoformat(), "total": at * 37 % 180} for at in range(days)]
    return {
        "range": {"from": "2026-01-01T00:00:00.000Z", "to": "2026-03-02T00:00:00.000Z"},
        "tz": "Europe/Berlin",
        "source_id": None,
        "total": total,
        "by_status": {"open": total // 3, "pending": 0, "resolved": total // 2, "closed": 1},
        "by_urgency": {"low": total // 2, "medium": total // 3, "high": total // 6},
        "by_sentiment": {"negative": total // 4, "neutral": total // 2, "positive": total // 4},
        "requires_action": total // 3,
        "hourly_trend": None,
        "daily_trend": daily,
        "top_keywords": [{"keyword": f"word{at}", "tickets": 900 - at} for at in range(20)] if total else [],
        "at_risk_customers": [{"customer_id": one, "tickets": 9} for one in NAMES] if total else [],
        "response_time": {
            "tickets": total // 2,
            **{f"p{at}_s": at * 840.2 if total else None for at in (50, 90, 95, 99)},
            "relative_error": 0.02,
        },
        "as_of": "2026-03-02T09:30:00.000Z",
    }


@pytest.fixture
def said() -> list[str]:
    """Return what the browser complained of, or asked for besides the page."""
    return []


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, said: list[str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a page that notes every complaint and every request."""
    context = browser.new_context(color_scheme=request.param, viewport={"width": 1200, "height": 900})
    made = context.new_page()
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    made.on("dialog", lambda dialog: said.append(dialog.message))
    made.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None)
    yield made
    context.close()


def opened(page: Page, folder: Path, found: dict[str, Any], **named: str | None) -> Page:
    file = folder / "overview.html"
    file.write_bytes(overview(found, organization=named.get("organization") or "Acme", source=named.get("source")))
    page.goto(file.as_uri())
    page.locator("summary").click()
    return page


def test_every_text_can_be_read_and_every_bar_be_seen(page: Page, tmp_path: Path, said: list[str]) -> None:
    found = opened(page, tmp_path, statistics()).evaluate(CONTRASTS)

    print("lowest contrast:", round(min(one["contrast"] for one in found if one["is"] == "text"), 2))
    poor = [one for one in found if one["contrast"] < (READABLE if one["is"] == "text" else SEEN)]
    assert poor == []
    assert len(found) > 250
    assert said == []


def test_hostile_names_are_only_text(page: Page, tmp_path: Path, said: list[str]) -> None:
    opened(page, tmp_path, statistics(), organization=NAMES[1], source=NAMES[4])

    assert page.locator("h1").inner_text() == NAMES[1]
    assert page.locator("script, img, iframe, link").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert said == []


@pytest.mark.parametrize("days", [1, 366, 3_660])
def test_any_range_has_its_picture_within_the_page(page: Page, tmp_path: Path, days: int, said: list[str]) -> None:
    opened(page, tmp_path, statistics(days))

    inside = page.evaluate(
        "[...document.querySelectorAll('.trend text')].every((one) => {"
        " const [a, b] = [one.getBoundingClientRect(), one.closest('svg').getBoundingClientRect()];"
        " return a.left >= b.left - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1; })"
    )
    overlap = page.evaluate(
        "[...document.querySelectorAll('.mark')].some((one, at, all) => at > 0 &&"
        " all[at - 1].getBoundingClientRect().right > one.getBoundingClientRect().left)"
    )
    assert (inside, overlap, said) == (True, False, [])


def test_nothing_is_a_page_too(page: Page, tmp_path: Path, said: list[str]) -> None:
    opened(page, tmp_path, statistics(total=0))

    assert page.locator(".empty").all_inner_texts() == [
        "No customer has two negative tickets of high urgency.",
        "No response has been seen.",
        "No ticket says anything yet.",
    ]
    assert said == []


def test_a_narrow_screen_needs_no_scrolling_sideways(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    opened(page, tmp_path, statistics())

    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(
    ("begin", "end", "tz", "said_of_days"),
    [
        ("2026-01-01T00:00:00.000Z", "2026-01-03T00:00:00.000Z", "UTC", None),
        ("2025-12-31T23:00:00.000Z", "2026-01-02T23:00:00.000Z", "Europe/Berlin", None),
        (
            "2026-01-01T00:00:00.000Z",
            "2026-01-03T00:00:00.000Z",
            "Europe/Berlin",
            "The first day counts from 01:00 on, and the last one to 01:00.",
        ),
        ("2026-01-01T00:00:00.000Z", "2026-01-03T12:30:00.000Z", "UTC", "The last day counts to 12:30."),
        ("2026-01-01T08:00:00.000Z", "2026-01-03T00:00:00.000Z", "UTC", "The first day counts from 08:00 on."),
        (
            "2026-09-06T04:00:00.000Z",
            "2026-09-08T03:00:00.000Z",
            "America/Santiago",
            None,
        ),  # its day begins at 01:00
    ],
)
def test_days_that_are_shown_in_part_are_named(begin: str, end: str, tz: str, said_of_days: str | None) -> None:
    found = statistics(days=3) | {"range": {"from": begin, "to": end}, "tz": tz}

    page = overview(found, organization="Acme", source=None).decode()

    if said_of_days is None:
        assert "day counts" not in page
    else:
        assert said_of_days in page
