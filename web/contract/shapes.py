"""What the API shows, as schemas for the document; the answers themselves are made by plain functions."""

from typing import Any

import marshmallow as ma


class Shape(ma.Schema):
    """A thing that is shown: each field is always there, unless its metadata say `sometimes`.

    Schemas dump a page of tickets twelve times slower than orjson writes plain dicts, so they only describe; a
    test holds that both agree.
    """

    class Meta:
        """What is shown may grow: a client must bear fields that it does not know."""

        unknown = ma.EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: ma.fields.Field[Any]) -> None:
        """Describe the field as always there."""
        del field_name
        field_obj.required = not field_obj.metadata.get("sometimes", False)


def page_of(item: type[Shape], name: str) -> type[ma.Schema]:
    """Make the shape of a page of *item*s."""
    return Shape.from_dict(
        {
            "items": ma.fields.List(ma.fields.Nested(item)),
            "next_cursor": ma.fields.String(
                allow_none=True, metadata={"description": "`cursor` of the next page; null on the last"}
            ),
        },
        name=name,
    )


def instant(**options: Any) -> ma.fields.String:
    """Make the field of an instant: RFC 3339, in UTC, with a Z."""
    return ma.fields.String(**options, metadata={"format": "date-time"})


def links() -> ma.fields.Dict:
    """Make the field of a thing's links: relation to address."""
    return ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.String())
