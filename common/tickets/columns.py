"""Which column gives which field, and one row checked by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from common.errors import JobFailed
from common.tickets.attributes import ATTRIBUTES_MAX, NAME_MAX_CHARS, escape
from common.tickets.fields import OMITTED_WHEN_EMPTY, RULES, Unfit, attribute
from common.tickets.reading.rows import Refusal, Row
from common.tickets.ticket import TICKET_FIELDS, Ticket, ticket

_PLANS = 64
_EMPTY = ("", None)


@dataclass(frozen=True)
class _Field:
    """A ticket's field, the place of its column and the rule of its values."""

    name: str
    place: int
    rule: Callable[[Any], Any]


class Columns:
    """A caller's mapping, ticket field → column; fields left out are matched by name."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        unknown = sorted(set(mapping) - TICKET_FIELDS)
        if unknown:
            raise JobFailed(f"A ticket has no field {unknown[0]!r} to map.", code="mapping-invalid")
        self._mapping = dict(mapping)
        # JSON objects may each have fields of their own; those of one file are mostly alike.
        self._plan = lru_cache(_PLANS)(self._make_plan)

    def demand(self, header: Sequence[str]) -> None:
        """Raise `JobFailed` unless *header* has all mapped columns and one for the message."""
        for field, column in self._mapping.items():
            if column not in header:
                raise JobFailed(
                    f"The file has no column {column!r}, which is mapped to {field}.", code="column-missing"
                )
        if "message" not in self._matched(header):
            raise JobFailed("No column gives the message; name it in the mapping.", code="column-missing")

    def check(self, row: Row) -> Ticket | Refusal:
        """Return the ticket that *row* is, or why it is none. Pure."""
        return self._plan(row.header).check(row)

    def _make_plan(self, header: tuple[str, ...]) -> "_Plan":
        return _Plan(header, self._matched(header))

    def _matched(self, header: Sequence[str]) -> dict[str, str]:
        """Return field → column: as mapped, else of that very name, else of that name but for case and blanks."""
        matched = {field: column for field, column in self._mapping.items() if column in header}
        loosely = {column.strip().casefold(): column for column in reversed(header)}
        for field in TICKET_FIELDS - self._mapping.keys():
            column = field if field in header else loosely.get(field)
            if column is not None and column not in matched.values():
                matched[field] = column
        return matched


class _Plan:
    """How rows of one header become tickets."""

    def __init__(self, header: tuple[str, ...], matched: Mapping[str, str]) -> None:
        self._header = header
        self._fields = [_Field(field, header.index(matched[field]), RULES[field]) for field in sorted(matched)]
        self._has_message = "message" in matched
        rest = [place for place, name in enumerate(header) if name not in matched.values()]
        self._attributes = [(escape(header[place]), place) for place in rest]
        self._beyond = header[rest[ATTRIBUTES_MAX]] if len(rest) > ATTRIBUTES_MAX else None
        self._name_too_long = any(len(name) > NAME_MAX_CHARS for name in header)

    def check(self, row: Row) -> Ticket | Refusal:
        """Return the ticket that *row* is, or why it is none."""
        if not self._has_message:
            return Refusal(row.line, "message", "message is missing.")
        if self._name_too_long:
            return Refusal(row.line, None, f"A field's name is over {NAME_MAX_CHARS} characters.")
        if self._beyond is not None:
            return Refusal(row.line, self._beyond, f"The row has more than {ATTRIBUTES_MAX} attributes.")
        return self._ticket(row)

    def _ticket(self, row: Row) -> Ticket | Refusal:
        cells, column, subject = row.cells, "", ""
        fields: dict[str, Any] = {}
        try:
            for field in self._fields:
                column, subject = self._header[field.place], field.name
                value = cells[field.place]
                if not (value in _EMPTY and field.name in OMITTED_WHEN_EMPTY):
                    fields[field.name] = field.rule(value)
            subject = "The value"
            fields["attributes"] = attributes = {}
            for name, place in self._attributes:
                column = self._header[place]
                attributes[name] = attribute(cells[place])
        except Unfit as unfit:
            return Refusal(row.line, column, f"{subject} {unfit}.")
        try:
            return ticket(fields)
        except UnicodeError:
            return self._not_text(row)

    def _not_text(self, row: Row) -> Refusal:
        """Name the column whose value can't be stored."""
        for name, value in zip(self._header, row.cells, strict=True):
            try:
                str(value).encode()
            except UnicodeEncodeError:
                return Refusal(row.line, name, "The value holds bytes that are no text in the file's encoding.")
        return Refusal(row.line, None, "The row can't be stored.")
