"""What a source is to be, as somebody asks for it, and all that can be wrong with that."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import Any, Self

import orjson

from common.connectors.connector import Connector
from common.connectors.known import CONNECTORS
from common.errors import AddressRefused, Fault, Invalid
from common.ids import new_id
from common.outbound.addresses import Addresses
from common.outbound.url import read_url
from common.sources.source import Rate, Source

NAME_MAX_CHARS = 200
URL_MAX_CHARS = 2_000
CONFIG_MAX_BYTES = 16 * 1024
CREDENTIALS_MOST = 10
EVERY_MINUTES = (5, 7 * 24 * 60)
PER_S_MAX = 3_600
"""The longest time that a source's own limit counts over."""


@dataclass(frozen=True)
class Draft:
    """A source as it is asked for; without *page_size* pages are as large as its connector has them by default."""

    name: str
    connector: str
    base_url: str
    page_size: int | None = None
    rate: Rate | None = None
    every_minutes: int | None = None
    config: Mapping[str, Any] = dataclass_field(default_factory=dict)

    @classmethod
    def of(cls, source: Source) -> Self:
        """Return what would make *source* as it is."""
        return cls(**{one.name: getattr(source, one.name) for one in fields(cls)})

    @property
    def known(self) -> type[Connector] | None:
        """Return the connector that is named, or `None` for one that this version does not know."""
        return CONNECTORS.get(self.connector)

    def source(self, *, by: str, at: datetime, source_id: str | None = None) -> Source:
        """Return the new source that this is of; it was checked before."""
        return Source(
            source_id=source_id or new_id(),
            **self.settled(),
            created_by=by,
            created_at=at,
            updated_at=at,
            revision=0,
            generation=0,
        )

    def settled(self) -> dict[str, Any]:
        """Return the fields of a source that are asked for, none of them open."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        if found["page_size"] is None and self.known is not None:
            found["page_size"] = self.known.page_size_default
        return found


def source_name(text: str) -> str:
    """Return *text* in its composed form (NFC). Raises `ValueError`, whose sentence says what is wrong with it."""
    name = unicodedata.normalize("NFC", text)
    if not 0 < len(name) <= NAME_MAX_CHARS:
        raise ValueError(f"a name has 1 to {NAME_MAX_CHARS} characters")
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name has no characters that do not show, and no space at its ends")
    return name


def demand_sound(draft: Draft, addresses: Addresses, credentials: Mapping[str, str] | None) -> None:
    """Go on if there can be such a source with these *credentials*; `None` leaves those that it has.

    Raises `Invalid`, which names each fault.
    """
    faults = [*_faults(draft, addresses), *_faults_of(draft, credentials)]
    if faults:
        raise Invalid("Some fields are not valid; see errors.", faults)


def _faults(draft: Draft, addresses: Addresses) -> Iterator[Fault]:
    known = draft.known
    if known is None:
        yield Fault(f"Must be one of: {', '.join(sorted(CONNECTORS))}.", "/connector")
    yield from (Fault(detail, "/base_url") for detail in _wrong_with(draft, addresses))
    if known is not None and draft.page_size is not None and not 1 <= draft.page_size <= known.page_size_max:
        yield Fault(f"{known.name} has 1 to {known.page_size_max} records on a page.", "/page_size")
    if draft.rate is not None and draft.rate.limit > draft.rate.per_s:
        yield Fault(
            "A host is asked 60 times in 60 seconds at most; a source may lower that, never raise it.",
            "/rate_limit",
        )
    if len(orjson.dumps(draft.config)) > CONFIG_MAX_BYTES:
        yield Fault(f"A config has at most {CONFIG_MAX_BYTES} bytes.", "/config")
    elif known is not None:
        yield from (Fault(detail, f"/config{pointer}") for pointer, detail in known.check(draft.config))


def _wrong_with(draft: Draft, addresses: Addresses) -> Iterator[str]:
    """Say what is wrong with the address; of one that can't be called or read, not also what stands there."""
    if "?" in draft.base_url:
        yield "An address that others are made of has no query."
    refused = _refused(draft.base_url, addresses)
    if refused is not None:
        yield refused
    elif draft.known is not None and (detail := draft.known.check_base_url(draft.base_url)) is not None:
        yield detail


def _refused(base_url: str, addresses: Addresses) -> str | None:
    try:
        read_url(base_url)
    except AddressRefused as error:
        return error.detail
    try:
        addresses.check_url(base_url)
    except AddressRefused as error:
        allowing = "unless the operator allows its host and port (FAIRWAY_INGEST_ALLOWED_HOSTS)"
        return f"{error.detail.removesuffix('.')} {allowing}."
    return None


def _faults_of(draft: Draft, credentials: Mapping[str, str] | None) -> Iterator[Fault]:
    if credentials is not None and draft.known is not None:
        found = draft.known.check_credentials(credentials, draft.config)
        yield from (Fault(detail, f"/credentials{pointer}") for pointer, detail in found)
