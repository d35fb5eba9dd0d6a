"""How the settings of a `rest` source turn a record into a ticket: its pointers, made ready once."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from common.connectors import records
from common.connectors.pointers import reader, reader_of_all, top
from common.connectors.rest_settings import RestSettings


class RestMapping:
    """The fields and attributes of one source's records."""

    def __init__(self, settings: RestSettings) -> None:
        fields = {name: where for name, where in settings.fields if where is not None}
        self._tags = reader(fields.pop("tags", None))
        self._names = tuple(fields)
        self._read = reader_of_all(tuple(fields.values()))
        self._statuses = settings.status_map
        self._chosen = tuple(settings.attributes) if settings.attributes is not None else None
        self._read_chosen = reader_of_all(tuple((settings.attributes or {}).values()))
        elsewhere = (*fields.values(), settings.fields.tags, settings.changed_at)
        self._elsewhere = frozenset(name for where in elsewhere if (name := top(where)) is not None)
        self._read_by = _digest(settings)

    def essence(self, record: Mapping[str, Any]) -> Any:
        """Return all that `ticket` looks at, and what stands for the settings: by others, it is another ticket."""
        return self._read_by, self._values(record), self._tag_texts(record), self._attributes(record)

    def ticket(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a ticket's fields; a status that the settings do not know stays as it is."""
        values = dict(zip(self._names, self._values(record), strict=True))
        status = values.get("status")
        values |= {
            "external_id": records.identifier(values["external_id"], "external_id"),
            "message": records.first_text(values["message"]),
            "status": self._statuses.get(status, status) if isinstance(status, str) else status,
            "created_at": records.instant_text(values.get("created_at")),
            "tags": self._tag_texts(record),
            "attributes": records.exact(self._attributes(record)),
        }
        return records.said(**values)

    def _values(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        values = self._read(record)
        if not records.are_single(values):
            records.singles(dict(zip(self._names, values, strict=True)))
        return values

    def _tag_texts(self, record: Mapping[str, Any]) -> str | list[str]:
        found = self._tags(record)
        return found if isinstance(found, str) else records.texts(found, "name")

    def _attributes(self, record: Mapping[str, Any]) -> dict[str, Any]:
        if self._chosen is not None:
            return records.singles_of(dict(zip(self._chosen, self._read_chosen(record), strict=True)))
        found = records.singles_of(record, self._elsewhere)
        return (
            found
            if len(found) <= records.ATTRIBUTES_MAX
            else dict(sorted(found.items())[: records.ATTRIBUTES_MAX])
        )


def _digest(settings: RestSettings) -> str:
    content = settings.model_dump(include={"fields", "status_map", "attributes", "changed_at"})
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
