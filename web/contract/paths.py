"""Ids in paths: what has not the shape of one leads nowhere, so it can't be taken for another address either."""

from flask import Flask
from flask_smorest import Api
from werkzeug.routing import BaseConverter


class IdConverter(BaseConverter):
    """A UUIDv7 in its canonical form, as `<id:job_id>` in a route."""

    regex = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def register(app: Flask, api: Api) -> None:
    """Let the routes of *app* name ids, and its document say how they look."""
    app.url_map.converters["id"] = IdConverter
    api.register_converter(IdConverter, lambda _: {"type": "string", "format": "uuid"})
