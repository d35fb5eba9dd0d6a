"""Any other API that answers with pages of JSON, as its settings describe it (`rest_settings.py`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from common.clock import Clock
from common.connectors import answers, records, rest_paging, rest_settings, urls
from common.connectors.connector import Asked, Connector, Endpoint, Page, Record, Wrong
from common.connectors.credentials import CredentialField, basic, bearer, either, needed
from common.connectors.pointers import reader
from common.connectors.rest_mapping import RestMapping
from common.connectors.rest_settings import ByCursor, ByOffset, ByPage
from common.errors import SourceRefused

_NEEDED_BY_STYLE = {"bearer": ("token",), "header": ("token",), "basic": ("username", "password")}


class Rest(Connector):
    """Records of any API: where they and their fields stand is said by JSON pointers (RFC 6901).

    What stands at a record's top, is a single value and no field becomes an attribute, unless `attributes` says
    what does. A source whose settings are no longer taken raises `SourceRefused` when it is made.
    """

    name = "rest"
    version = 1
    page_size_max = 1_000
    page_size_default = 100
    credentials: ClassVar[Mapping[str, CredentialField]] = {
        "token": CredentialField(
            "Sent as the bearer token, or in the header that the settings name.", required=False
        ),
        "username": CredentialField("The name for Basic.", required=False, only_ascii=False),
        "password": CredentialField("The password for Basic.", required=False, only_ascii=False),
    }

    def __init__(self, endpoint: Endpoint, *, clock: Clock | None = None) -> None:
        super().__init__(endpoint, clock=clock)
        try:
            self._settings = rest_settings.read(endpoint.config)
        except (TypeError, ValueError) as error:
            raise SourceRefused(
                "The source is not set up as its connector needs it; change its settings."
            ) from error
        self._mapping = RestMapping(self._settings)
        self._records = reader(self._settings.records)
        self._total = reader(self._settings.paging.total)
        self._external_id = reader(self._settings.fields.external_id)
        self._changed_at = reader(self._settings.changed_at)

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> list[Wrong]:
        """Return each setting that is wrong, missing or not known."""
        return rest_settings.wrong_with(config)

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, Any], config: Mapping[str, Any]) -> list[Wrong]:
        """Return a fault unless they are those that `auth` needs."""
        auth = config.get("auth")
        way = _NEEDED_BY_STYLE.get(str(auth.get("style"))) if isinstance(auth, Mapping) else None
        wrong = super().check_credentials(credentials, config)
        if way:
            return wrong or either(credentials, way)
        return wrong or [(f"/{name}", "Is not sent while the settings name no auth.") for name in credentials]

    @property
    def is_stable(self) -> bool:
        """Tell that a cursor keeps its place among the records, and that numbers of pages or places do not."""
        return isinstance(self._settings.paging, ByCursor)

    @property
    def has_since(self) -> bool:
        """Tell whether the settings name a parameter for it."""
        return self._settings.since is not None

    def secret_headers(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the header that `auth` describes; none without it."""
        auth = self._settings.auth
        if auth is None:
            return {}
        if auth.style == "basic":
            return basic(needed(credentials, "username"), needed(credentials, "password"))
        token = needed(credentials, "token")
        return {auth.header: token} if auth.header else bearer(token)

    def first(self, since: datetime | None) -> Asked:
        """Return the call for the first page, with all that `query` says."""
        settings, paging = self._settings, self._settings.paging
        query = {name: _as_text(value) for name, value in settings.query.items()}
        if paging.size_parameter:
            query[paging.size_parameter] = str(self.page_size)
        if isinstance(paging, ByPage | ByOffset):
            query[paging.parameter] = str(paging.first)
        if since and settings.since:
            query[settings.since.parameter] = _instant(since, settings.since.format)
        return self.following(urls.at(self.endpoint.base_url, settings.path, query.items()))

    def page(self, asked_url: str, status: int, headers: Mapping[str, str], body: bytes) -> Page:
        """Read the list where `records` has it, and what `paging` says about the next page."""
        answers.demand_page(status, headers, self.clock.now())
        answer = answers.read_json(headers, body)
        found = answers.records(self._records(answer), self._settings.records or "the top")
        total = answers.total(self._total(answer))
        following = rest_paging.next_page(
            self._settings.paging,
            rest_paging.Answered(asked_url, headers, answer, len(found), total),
            base_url=self.endpoint.base_url,
            page_size=self.page_size,
        )
        return Page(found, following, total)

    def external_id(self, record: Record) -> str:
        """Return what stands where `fields.external_id` points."""
        return records.identifier(self._external_id(record), "external_id")

    def changed_at(self, record: Record) -> datetime | None:
        """Return what stands where `changed_at` points: RFC 3339, or seconds or milliseconds since 1970."""
        return records.instant(self._changed_at(record))

    def essence(self, record: Record) -> Any:
        """Return the mapped values as they came, and what stands for the settings that map them."""
        return self._mapping.essence(record)

    def ticket(self, record: Record) -> dict[str, Any]:
        """Map a record as the settings say."""
        return self._mapping.ticket(record)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _instant(since: datetime, form: str) -> str:
    whole = since.astimezone(UTC).replace(microsecond=0)
    return str(int(whole.timestamp())) if form == "unix" else whole.strftime("%Y-%m-%dT%H:%M:%SZ")
