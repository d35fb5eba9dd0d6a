"""Tickets of Zendesk Support; the base URL is `https://SUBDOMAIN.zendesk.com`.

| `paging` | what is asked | what it leaves out |
|---|---|---|
| `export` | the incremental export by cursor, from the first or from an instant | nothing; deleted ones say so |
| `cursor` | the list, by cursor; what has changed comes by the export | archived tickets, closed 120 days ago |
| `offset` | the list, by page; what has changed comes by the export | the same, and all beyond 10,000 tickets |
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from common.connectors import answers, records, urls
from common.connectors.connector import Asked, Connector, Page, Record, Wrong
from common.connectors.credentials import CredentialField, basic, bearer, either, needed
from common.errors import SourceIll

_LIST = "/api/v2/tickets.json"
_EXPORT = "/api/v2/incremental/tickets/cursor.json"
_LIST_PAGE_MAX = 100
_EXPORT_ENDS_AGO = timedelta(seconds=90)
"""The export refuses to begin within the last minute."""

_STYLES = ("export", "cursor", "offset")
_STATUSES = {
    "new": "open", "open": "open", "pending": "pending", "hold": "pending", "solved": "resolved",
    "closed": "closed",
}  # fmt: skip
_ATTRIBUTES = (
    "priority", "type", "recipient", "assignee_id", "group_id", "organization_id", "brand_id", "ticket_form_id",
    "problem_id", "due_at",
)  # fmt: skip
_SINGLE = ("id", "subject", "description", "status", "requester_id", "created_at", "external_id", *_ATTRIBUTES)


class Zendesk(Connector):
    """Tickets by export, by cursor or by offset, as the setting `paging` says; left out, by export."""

    name = "zendesk"
    version = 1
    page_size_max = 1_000
    page_size_default = 100
    credentials: ClassVar[Mapping[str, CredentialField]] = {
        "email": CredentialField(
            "The address of the agent whose API token it is.", required=False, only_ascii=False
        ),
        "token": CredentialField("An API token, used with the address.", required=False),
        "oauth_token": CredentialField("An OAuth access token, instead of the two.", required=False),
    }

    @classmethod
    def check_base_url(cls, url: str) -> str | None:
        """Return a sentence for an address that has a path: what is asked stands behind the host."""
        has_path = urlsplit(url).path not in {"", "/"}
        return "Must end with the host, as https://SUBDOMAIN.zendesk.com does." if has_path else None

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> list[Wrong]:
        """Return a fault for a style of paging that is not known, and for every other setting."""
        wrong = super().check({name: value for name, value in config.items() if name != "paging"})
        if config.get("paging", "export") not in _STYLES:
            wrong.append(("/paging", f"Must be one of {', '.join(_STYLES)}."))
        return wrong

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, Any], config: Mapping[str, Any]) -> list[Wrong]:
        """Return a fault unless it is an address with an API token, or an OAuth token."""
        wrong = super().check_credentials(credentials, config)
        return wrong or either(credentials, ("email", "token"), ("oauth_token",))

    @property
    def is_stable(self) -> bool:
        """Tell that pages by offset move when a ticket is archived or deleted."""
        return self._style != "offset"

    @property
    def has_since(self) -> bool:
        """Tell that the export knows what has changed since an instant."""
        return True

    @property
    def lists_all(self) -> bool:
        """Tell that only the export has what is archived."""
        return self._style == "export"

    def secret_headers(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the header of the OAuth token, or of the address with the API token."""
        if "oauth_token" in credentials:
            return bearer(credentials["oauth_token"])
        return basic(f"{needed(credentials, 'email')}/token", needed(credentials, "token"))

    def first(self, since: datetime | None) -> Asked:
        """Return the call for the first page of the list or of the export."""
        if since or self._style == "export":
            return self._call(_EXPORT, ("start_time", self._start_s(since)), ("per_page", self.page_size))
        size = min(self.page_size, _LIST_PAGE_MAX)
        if self._style == "cursor":
            return self._call(_LIST, ("page[size]", size), ("sort", "id"))
        return self._call(_LIST, ("per_page", size), ("page", 1), ("sort_by", "id"), ("sort_order", "asc"))

    def page(self, asked_url: str, status: int, headers: Mapping[str, str], body: bytes) -> Page:
        """Read a page of any of the three, told by what is said about the next."""
        answers.demand_page(status, headers, self.clock.now())
        answer = answers.read_json(headers, body)
        found = answers.records(records.inner(answer, "tickets"), "/tickets")
        following = _following(answer)
        if following is not None:
            following = urls.next_page(following, asked_url=asked_url, base_url=self.endpoint.base_url)
        return Page(found, following, answers.total(answer.get("count") if "next_page" in answer else None))

    def external_id(self, record: Record) -> str:
        """Return the ticket's id; its own `external_id` is what others call it, and an attribute."""
        return records.identifier(record.get("id"), "id")

    def changed_at(self, record: Record) -> datetime | None:
        """Return `updated_at`; what Zendesk itself does to a ticket does not always move it."""
        return records.instant(record.get("updated_at"))

    def is_gone(self, record: Record) -> bool:
        """Tell a deleted ticket, which the export still has."""
        return record.get("status") == "deleted"

    def essence(self, record: Record) -> Any:
        """Return what a ticket is made of, with the custom fields that are filled in."""
        return _values(record), records.texts(record.get("tags")), _custom_fields(record)

    def ticket(self, record: Record) -> dict[str, Any]:
        """Map a ticket; one without a description is its subject."""
        values = _values(record)
        status = values["status"]
        attributes = records.said(**{name: values[name] for name in ("external_id", *_ATTRIBUTES)})
        return records.said(
            external_id=self.external_id(record),
            customer_id=values["requester_id"],
            channel=values["channel"],
            subject=values["subject"],
            message=records.first_text(values["description"], values["subject"]),
            status=_STATUSES.get(status, status) if isinstance(status, str) else status,
            tags=records.texts(record.get("tags")),
            created_at=values["created_at"],
            attributes=records.at_most(attributes, _custom_fields(record)),
        )

    @property
    def _style(self) -> str:
        return str(self.endpoint.config.get("paging", "export"))

    def _start_s(self, since: datetime | None) -> int:
        return 0 if since is None else max(0, int(min(since, self.clock.now() - _EXPORT_ENDS_AGO).timestamp()))

    def _call(self, path: str, *query: tuple[str, object]) -> Asked:
        return self.following(urls.at(self.endpoint.base_url, path, query))


def _following(answer: Mapping[str, Any]) -> Any:
    """Return what *answer* names as its next page, `None` if it is the last one by its own word.

    An answer that says neither is no page: taken for the last, it would end the list too early.
    """
    if type(ends := answer.get("end_of_stream")) is bool:
        return None if ends else _named(answer.get("after_url"))
    if type(goes_on := records.inner(answer, "meta", "has_more")) is bool:
        return _named(records.inner(answer, "links", "next")) if goes_on else None
    if "next_page" in answer:
        return answer["next_page"]
    raise SourceIll("The source's answer does not say whether there is a next page.")


def _named(following: Any) -> Any:
    if following is None:
        raise SourceIll("The source says that there is a next page, but not which.")
    return following


def _values(record: Record) -> dict[str, Any]:
    values = {name: record.get(name) for name in _SINGLE}
    values["channel"] = records.inner(record.get("via"), "channel")
    return records.singles(values)


def _custom_fields(record: Record) -> dict[str, Any]:
    found = record.get("custom_fields")
    if type(found) is not list or not found:
        return {}
    pairs = [(records.inner(one, "id"), records.inner(one, "value")) for one in found]
    return records.singles_of({f"custom_field_{number}": value for number, value in pairs if type(number) is int})
