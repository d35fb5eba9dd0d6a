"""Conversations of Intercom; the base URL is `https://api.intercom.io`, or that of another region."""

import html
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from common.connectors import answers, records, urls
from common.connectors.connector import Asked, Connector, Page, Record
from common.connectors.credentials import CredentialField, bearer, needed
from common.errors import SourceIll

_CURSOR = "starting_after"
_STATUSES = {"open": "open", "snoozed": "pending", "closed": "closed"}
_TOP = ("id", "title", "state", "created_at", "priority", "admin_assignee_id", "team_assignee_id")
_SOURCE = ("type", "subject", "body", "delivered_as", "url")
_ATTRIBUTES = ("delivered_as", "url", "priority", "admin_assignee_id", "team_assignee_id")
_LINE_ENDS = re.compile(r"<br[^<>]{0,100}>|</(?:p|div|li|h[1-6]|tr)>", re.IGNORECASE)
_MARKUP = re.compile(r"<[a-zA-Z/!][^<>]*>")


class Intercom(Connector):
    """The list of conversations, by cursor: each with the message that began it, without its replies.

    A ticket's message and subject are the text of Intercom's HTML.
    """

    name = "intercom"
    version = 1
    page_size_max = 150
    page_size_default = 150
    credentials: ClassVar[Mapping[str, CredentialField]] = {
        "token": CredentialField("An access token.", required=True)
    }
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json", "Intercom-Version": "2.15"}

    @classmethod
    def check_base_url(cls, url: str) -> str | None:
        """Return a sentence for an address that has a path: what is asked stands behind the host."""
        has_path = urlsplit(url).path not in {"", "/"}
        return "Must end with the host, as https://api.intercom.io does." if has_path else None

    @property
    def is_stable(self) -> bool:
        """Tell that nothing says in which order the list is, or that a conversation keeps its place in it."""
        return False

    @property
    def has_since(self) -> bool:
        """Tell that the list takes no instant; the search that does is no GET."""
        return False

    def secret_headers(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the token's header."""
        return bearer(needed(credentials, "token"))

    def first(self, since: datetime | None) -> Asked:  # noqa: ARG002 - there is no such question
        """Return the call for the first page of the list."""
        return self.following(urls.at(self.endpoint.base_url, "/conversations", [("per_page", self.page_size)]))

    def page(self, asked_url: str, status: int, headers: Mapping[str, str], body: bytes) -> Page:
        """Read a page of the list; the cursor of the next one goes into the URL that was asked."""
        answers.demand_page(status, headers, self.clock.now())
        answer = answers.read_json(headers, body)
        found = answers.records(records.inner(answer, "conversations"), "/conversations")
        total = answers.total(answer.get("total_count"))
        is_all = urls.parameter(asked_url, _CURSOR) is None and total is not None and total <= len(found)
        following = urls.with_cursor(asked_url, _CURSOR, _cursor(answer.get("pages"), is_all=is_all))
        return Page(found, following, total)

    def external_id(self, record: Record) -> str:
        """Return the conversation's id."""
        return records.identifier(record.get("id"), "id")

    def changed_at(self, record: Record) -> datetime | None:
        """Return `updated_at`, which a reply moves, too."""
        return records.instant(record.get("updated_at"))

    def essence(self, record: Record) -> Any:
        """Return what a ticket is made of; no statistics, and nobody's having read it."""
        return _values(record), _tags(record), _custom_attributes(record)

    def ticket(self, record: Record) -> dict[str, Any]:
        """Map a conversation; one that began without a text is its subject."""
        values = _values(record)
        subject, state = _plain(values["title"]) or _plain(values["subject"]), values["state"]
        attributes = records.said(**{name: values[name] for name in _ATTRIBUTES})
        return records.said(
            external_id=self.external_id(record),
            customer_id=values["customer"],
            channel=values["type"],
            subject=subject,
            message=records.first_text(_plain(values["body"]), subject),
            status=_STATUSES.get(state, state) if isinstance(state, str) else state,
            tags=_tags(record),
            created_at=records.instant_text(values["created_at"]),
            attributes=records.at_most(attributes, _custom_attributes(record)),
        )


def _cursor(pages: Any, *, is_all: bool) -> Any:
    """Return what *pages* names as the next page, `None` if this is the last by the answer's own word.

    An answer that says neither is no page: taken for the last, it would end the list too early.
    """
    if type(pages) is not dict:
        if is_all:
            return None
        raise SourceIll("The source's answer does not say whether there is a next page.")
    following = pages.get("next")
    if following is None:
        return None
    if type(following) is not dict or _CURSOR not in following:
        raise SourceIll("The source says that there is a next page, but not which.")
    return following[_CURSOR]


def _values(record: Record) -> dict[str, Any]:
    values = {name: record.get(name) for name in _TOP}
    for name in _SOURCE:
        values[name] = records.inner(record.get("source"), name)
    values["customer"] = _customer(record)
    return records.singles(values)


def _customer(record: Record) -> Any:
    """Return the name that our customer gave the first contact, or Intercom's own."""
    contacts = records.inner(record.get("contacts"), "contacts")
    contact = contacts[0] if type(contacts) is list and contacts else None
    return records.inner(contact, "external_id") or records.inner(contact, "id")


def _tags(record: Record) -> list[str]:
    return records.texts(records.inner(record.get("tags"), "tags"), "name")


def _custom_attributes(record: Record) -> dict[str, Any]:
    found = record.get("custom_attributes")
    return records.singles_of(found) if type(found) is dict else {}


def _plain(markup: Any) -> Any:
    """Return the text of a piece of HTML, a line for each paragraph; what is no text as it is, blank as `None`."""
    if not isinstance(markup, str):
        return markup
    return html.unescape(_MARKUP.sub("", _LINE_ENDS.sub("\n", markup))).strip() or None
