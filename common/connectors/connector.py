"""What a connector is: it knows one API, and says what to ask and what an answer means. It calls nobody itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from jsonpointer import JsonPointer

from common.clock import Clock, SystemClock
from common.connectors.credentials import CredentialField, wrong_with

Record = Mapping[str, Any]
Wrong = tuple[str, str]
"""What is wrong with a setting: the JSON pointer to it, and a sentence."""


@dataclass(frozen=True)
class Endpoint:
    """Where a source is, how many records a page of it is to hold, and what its connector has to be told."""

    base_url: str
    page_size: int
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A GET to make; what is secret is not in it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One page of records. *next* is the absolute URL of the one after it, on the host of the source.

    *total* is how many the source says it has, over all pages; *passed_over* counts what stood on the page and is
    no ticket.
    """

    records: Sequence[Record]
    next: str | None
    total: int | None = None
    passed_over: int = 0


class Connector(ABC):
    """One API as one source of it is set up. Make a subclass in a file of this package, and it is known.

    Raise *version* when the same record becomes another ticket than before. No method does I/O, and none raises
    anything but what it says, whatever the source has answered.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    page_size_max: ClassVar[int]
    page_size_default: ClassVar[int]
    credentials: ClassVar[Mapping[str, CredentialField]]
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    """What each call is sent with, beside what is secret."""

    def __init__(self, endpoint: Endpoint, *, clock: Clock | None = None) -> None:
        self.endpoint = endpoint
        self.page_size = max(1, min(endpoint.page_size, self.page_size_max))
        self.clock = clock or SystemClock()

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> list[Wrong]:
        """Return what is wrong with *config*; nothing, if a source can be set up with it."""
        return [(JsonPointer.from_parts([name]).path, f"{cls.name} has no such setting.") for name in config]

    @classmethod
    def check_base_url(cls, url: str) -> str | None:  # noqa: ARG003 - for those that have only some
        """Return a sentence that says what is wrong with the path of *url*; `None` if sources can be there."""
        return None

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, Any], config: Mapping[str, Any]) -> list[Wrong]:  # noqa: ARG003 - for those that it matters to
        """Return what is wrong with *credentials* for a source with this *config*, never repeating a secret."""
        return wrong_with(credentials, cls.credentials)

    @property
    @abstractmethod
    def is_stable(self) -> bool:
        """Tell whether no record can move from one page to another while the pages are being read."""

    @property
    @abstractmethod
    def has_since(self) -> bool:
        """Tell whether the API can be asked for what has changed since an instant."""

    @property
    def lists_all(self) -> bool:
        """Tell whether the pages from `first(None)` hold everything there is, so that what they lack is gone."""
        return True

    @abstractmethod
    def secret_headers(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that prove who asks, for each call. Raises `CredentialsRefused` if one is lacking."""

    @abstractmethod
    def first(self, since: datetime | None) -> Asked:
        """Return the first call: for all records, or where `has_since`, for those changed at or after *since*."""

    def following(self, url: str) -> Asked:
        """Return the call for the page at *url*, which a page named as its next."""
        return Asked(url, self.headers)

    @abstractmethod
    def page(self, asked_url: str, status: int, headers: Mapping[str, str], body: bytes) -> Page:
        """Read the answer to a GET of *asked_url*; the names in *headers* are in lower case.

        Raises `SourceAsksToWait`, `SourceRefused` (of it `CredentialsRefused`, `SourceGone`), `SourceIll`, and
        `AnswerRefused` if the next page is said to be on another host.
        """

    @abstractmethod
    def external_id(self, record: Record) -> str:
        """Return what names *record* at its source, for ever. Raises `Unusable`."""

    @abstractmethod
    def changed_at(self, record: Record) -> datetime | None:
        """Return when *record* was last changed, aware, in UTC; `None` if it does not say so."""

    def is_gone(self, record: Record) -> bool:  # noqa: ARG002 - for those that tell
        """Tell whether *record* only says that what it names was deleted at its source."""
        return False

    @abstractmethod
    def essence(self, record: Record) -> Any:
        """Return all that `ticket` makes a ticket of, as it came: cheap, and always fit for `orjson.dumps`.

        Two records with one essence are the same ticket. Raises `Unusable`.
        """

    @abstractmethod
    def ticket(self, record: Record) -> dict[str, Any]:
        """Return the values of a ticket's fields, not yet checked, and `attributes`, an object of single values.

        What the record does not say is left out. Raises `Unusable`.
        """
