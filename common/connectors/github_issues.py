"""Issues of a GitHub repository; the base URL is that of the repository, `https://api.github.com/repos/OWNER/NAME`.

Pages follow the header `Link`. They are asked for in the order of creation: in the order of change, an issue that
is changed meanwhile would go to the end and draw those behind it onto pages that are read already.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlsplit

from common.clock import rfc3339
from common.connectors import answers, link_header, records, urls
from common.connectors.connector import Asked, Connector, Page, Record
from common.connectors.credentials import CredentialField, bearer

_LIMITED = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
_LIMIT_SAID_WITHIN_BYTES = 4_096
_REPOSITORY = re.compile(r"/repos/[^/]+/[^/]+/?\Z")
_ATTRIBUTES = ("html_url", "state_reason", "author_association", "assignee", "milestone")


class GithubIssues(Connector):
    """Issues, open and closed, without the pull requests that GitHub lists among them.

    An issue is named by its number: its repository never gives it twice, and it is what people call the issue by.
    """

    name = "github_issues"
    version = 1
    page_size_max = 100
    page_size_default = 100
    credentials: ClassVar[Mapping[str, CredentialField]] = {
        "token": CredentialField("A personal access token; a public repository needs none.", required=False)
    }
    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }

    @classmethod
    def check_base_url(cls, url: str) -> str | None:
        """Return a sentence for what is not a repository of the API, such as its page for people."""
        if _REPOSITORY.search(urlsplit(url).path):
            return None
        return (
            "Must lead to a repository of the API: https://api.github.com/repos/OWNER/NAME, "
            "or of GitHub Enterprise https://HOST/api/v3/repos/OWNER/NAME."
        )

    @property
    def is_stable(self) -> bool:
        """Tell that an issue which is deleted or transferred draws those behind it one place forward."""
        return False

    @property
    def has_since(self) -> bool:
        """Tell that `since` is known, by the time of the last change."""
        return True

    def secret_headers(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the token's header, or none for a public repository."""
        token = credentials.get("token")
        return bearer(token) if token else {}

    def first(self, since: datetime | None) -> Asked:
        """Return the call for the oldest issues, or the oldest of those that have changed at or after *since*."""
        query: list[tuple[str, object]] = [
            ("state", "all"), ("sort", "created"), ("direction", "asc"), ("per_page", self.page_size),
        ]  # fmt: skip
        if since:
            query.append(("since", rfc3339(since.replace(microsecond=0)).replace(".000Z", "Z")))
        return self.following(urls.at(self.endpoint.base_url, "/issues", query))

    def page(self, asked_url: str, status: int, headers: Mapping[str, str], body: bytes) -> Page:
        """Read a list of issues; pull requests are passed over and counted."""
        now = self.clock.now()
        if status in _LIMITED and _says_limited(headers, body):
            raise answers.asks_to_wait(headers, now)
        answers.demand_page(status, headers, now)
        found = answers.records(answers.read_json(headers, body), "the top")
        issues = [record for record in found if not record.get("pull_request")]
        following = link_header.next_page(headers, asked_url=asked_url, base_url=self.endpoint.base_url)
        return Page(issues, following, passed_over=len(found) - len(issues))

    def external_id(self, record: Record) -> str:
        """Return the issue's number."""
        return records.identifier(record.get("number"), "number")

    def changed_at(self, record: Record) -> datetime | None:
        """Return `updated_at`, which a comment moves, too."""
        return records.instant(record.get("updated_at"))

    def essence(self, record: Record) -> Any:
        """Return what a ticket is made of; neither reactions nor the number of comments are."""
        return _values(record), records.texts(record.get("labels"), "name")

    def ticket(self, record: Record) -> dict[str, Any]:
        """Map an issue; one without a text is its title."""
        values = _values(record)
        is_completed = values["state"] == "closed" and values["state_reason"] == "completed"
        return records.said(
            external_id=self.external_id(record),
            customer_id=values["login"],
            channel="github",
            subject=values["title"],
            message=records.first_text(values["body"], values["title"]),
            status="resolved" if is_completed else values["state"],
            tags=records.texts(record.get("labels"), "name"),
            created_at=values["created_at"],
            attributes=records.said(**{name: values[name] for name in _ATTRIBUTES}),
        )


def _says_limited(headers: Mapping[str, str], body: bytes) -> bool:
    """Tell a limit from missing rights, which GitHub answers with the same 403."""
    is_told = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return is_told or b"rate limit" in body[:_LIMIT_SAID_WITHIN_BYTES].lower()


def _values(record: Record) -> dict[str, Any]:
    get = record.get
    return records.singles(
        {
            "number": get("number"),
            "title": get("title"),
            "body": get("body"),
            "state": get("state"),
            "state_reason": get("state_reason"),
            "created_at": get("created_at"),
            "html_url": get("html_url"),
            "author_association": get("author_association"),
            "login": records.inner(get("user"), "login"),
            "assignee": records.inner(get("assignee"), "login"),
            "milestone": records.inner(get("milestone"), "title"),
        }
    )
