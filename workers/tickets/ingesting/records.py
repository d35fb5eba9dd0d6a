"""Records of a source on their way to tickets: what each is known by, and what its ticket says."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from common.connectors.connector import Connector, Record
from common.errors import Unusable
from common.tickets.attributes import ATTRIBUTES_MAX, NAME_MAX_CHARS, escape
from common.tickets.fields import OMITTED_WHEN_EMPTY, RULES, Unfit, attribute
from common.tickets.reading.rows import Refusal
from common.tickets.sync import Incoming
from common.tickets.ticket import Ticket

_DIGEST_BYTES = 20
_REASON_MAX_CHARS = 1_000
_EMPTY = ("", None)


@dataclass(frozen=True)
class Sorted:
    """The records of a page: tickets that are there, keys of those that are gone, and records that are neither.

    *seen* are the keys of all that are there, also of what can't become a ticket; *nameless* counts the records
    that do not say which they are.
    """

    incoming: Sequence[Incoming]
    gone: Sequence[str]
    refusals: Sequence[Refusal]
    seen: Sequence[str]
    nameless: int


class Records:
    """Reads the records of one source."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        # What makes another ticket of the same record makes another hash.
        salt = f"{connector.name} {connector.version}\n".encode()
        self._salted = hashlib.blake2b(salt, digest_size=_DIGEST_BYTES)

    def sort(self, records: Sequence[Record], first_number: int) -> Sorted:
        """Tell what each of *records* is; they are numbered from *first_number* on."""
        incoming: list[Incoming] = []
        gone: list[Incoming] = []
        refusals: list[Refusal] = []
        seen: list[str] = []
        nameless, connector = 0, self._connector
        for number, record in enumerate(records, first_number):
            key = None
            try:
                key = f"id:{connector.external_id(record)}"
                changed_at = connector.changed_at(record)
                if connector.is_gone(record):
                    gone.append(Incoming(key, "", (number, record), changed_at))
                    continue
                seen.append(key)
                incoming.append(Incoming(key, self._hash(record), (number, record), changed_at))
            except Unusable as error:
                nameless += key is None
                refusals.append(_refusal(number, error, key))
        taken_back = _taken_back(incoming, gone) if gone else frozenset()
        there = [one for one in incoming if one.natural_key not in taken_back] if taken_back else incoming
        return Sorted(there, sorted(taken_back), refusals, seen, nameless)

    def make(self, one: Incoming) -> Ticket | Refusal:
        """Return the ticket that a record is, or why it is none."""
        number, record = one.raw
        try:
            raw = self._connector.ticket(record)
            attributes = raw.pop("attributes", {})
            fields = {**_fields(raw), "attributes": _attributes(attributes)}
        except Unusable as error:
            return _refusal(number, error, one.natural_key)
        return Ticket(one.natural_key, one.content_hash, fields, 0)

    def _hash(self, record: Record) -> str:
        made = self._salted.copy()
        made.update(orjson.dumps(self._connector.essence(record), option=orjson.OPT_SORT_KEYS))
        return made.hexdigest()


def _refusal(number: int, error: Unusable, natural_key: str | None) -> Refusal:
    external_id = natural_key.removeprefix("id:")[:NAME_MAX_CHARS] if natural_key is not None else None
    return Refusal(number, error.field[:NAME_MAX_CHARS], error.detail[:_REASON_MAX_CHARS], external_id)


def _taken_back(incoming: Sequence[Incoming], gone: Sequence[Incoming]) -> frozenset[str]:
    """Return the keys of which the newest, or else the last word of the page is that they are gone."""
    last: dict[str, tuple[Incoming, bool]] = {}
    said = [*((one, False) for one in incoming), *((one, True) for one in gone)]
    for one, is_gone in sorted(said, key=lambda word: word[0].raw[0]):
        other = last.get(one.natural_key)
        if other is None or _is_newer(one, other[0]):
            last[one.natural_key] = one, is_gone
    return frozenset(key for key, (_, is_gone) in last.items() if is_gone)


def _is_newer(one: Incoming, other: Incoming) -> bool:
    return one.changed_at is None or other.changed_at is None or one.changed_at >= other.changed_at


def _fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields as they are stored; what is empty and says nothing is left out."""
    said = {name: value for name, value in raw.items() if not (value in _EMPTY and name in OMITTED_WHEN_EMPTY)}
    if said.get("message") is None:
        raise Unusable("message", "is missing")
    return {name: _fit(name, RULES[name], value) for name, value in said.items()}


def _attributes(raw: Mapping[str, Any]) -> dict[str, Any]:
    if len(raw) > ATTRIBUTES_MAX:
        raise Unusable("attributes", f"are more than {ATTRIBUTES_MAX}")
    return {escape(name[:NAME_MAX_CHARS]): _fit(name, attribute, value) for name, value in raw.items()}


def _fit(name: str, rule: Callable[[Any], Any], value: Any) -> Any:
    try:
        return rule(value)
    except Unfit as unfit:
        raise Unusable(name, str(unfit)) from unfit
