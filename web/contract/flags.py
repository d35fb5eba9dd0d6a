"""Flags in bodies: true or false, and nothing that merely equals one of them."""

from typing import Any

import marshmallow as ma


class Flag(ma.fields.Boolean):
    """A flag; the library's own takes 0 for false, because the two are equal."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        del attr, data, kwargs
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value
