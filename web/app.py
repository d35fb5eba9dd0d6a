"""The API as a WSGI application: it finds the families and knows none of them."""

import importlib
import pkgutil

import orjson
from flask import Flask, abort, request
from flask.json.provider import JSONProvider

import web
from common.services import Services
from web.contract import cors, limits, metering, openapi, places, problems, replies, request_ids


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson: fast, and as strict as what we read."""

    def dumps(self, obj: object, **kwargs: object) -> str:
        """Write JSON."""
        del kwargs
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: object) -> object:
        """Read JSON."""
        del kwargs
        return orjson.loads(s)


def create_app(services: Services) -> Flask:
    """Make the application around *services*: every module of `web` that has a `blueprint` is a family."""
    app = Flask("fairway", static_folder=None)
    app.extensions["fairway"] = services
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.redirect_defaults = False
    app.url_map.merge_slashes = False
    request_ids.register(app)
    replies.register(app, services.settings)
    places.register(app, services.settings)
    cors.register(app, services.settings)
    limits.register(app, services.settings)
    metering.register(app)
    app.before_request(_refuse_what_we_can_not_answer)
    api = openapi.document(app)
    problems.register(app)  # after flask-smorest, whose own errors are no problem documents
    for module in pkgutil.iter_modules(web.__path__, "web."):
        if not module.ispkg:
            family = importlib.import_module(module.name)
            if (blueprint := getattr(family, "blueprint", None)) is not None:
                api.register_blueprint(blueprint)
    openapi.complete(api, app)
    return app


def _refuse_what_we_can_not_answer() -> None:
    """We answer in JSON; who accepts no form of it is told so before anything is done."""
    if request.headers.get("Accept", "*/*") in {"*/*", "application/json"}:
        return
    accepted = request.accept_mimetypes
    offered = ("application/json", "application/problem+json", "text/event-stream", "text/html", "text/plain")
    if accepted and not any(accepted[one] for one in offered):
        abort(406, "This API answers in application/json.")
