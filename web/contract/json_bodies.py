"""Arguments of every operation: strict JSON, known fields and parameters only, every fault named."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn

import marshmallow
import orjson
from flask import Request, g, request
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser

from common.errors import Fault, Invalid, NotParseable, WrongMediaType
from web.contract.bodies import Body

BODY_MAX_BYTES = 1024 * 1024
DEPTH_MAX = 32
ITEMS_MAX = 10_000
_FAULTS_MAX = 50
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
"""A string of a text that is JSON: what is left without them has one colon a field."""


class StrictParser(FlaskParser):
    """Reads JSON by orjson: no NaN, lone surrogates, NUL, fields given twice, or other media types."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 (webargs' own attribute)
        "json": marshmallow.RAISE,
        "query": marshmallow.RAISE,
        "headers": marshmallow.EXCLUDE,
    }

    def load_json(self, req: Request, schema: Any) -> Any:
        """Return the body's object. Raises `WrongMediaType`, `TooLarge`, `NotParseable` or `Invalid`."""
        del schema
        return read_json(req)

    def load_querystring(self, req: Request, schema: Any) -> Any:
        """Return the parameters. Raises `Invalid` for one that is given twice, because either could be meant."""
        g.parameters_are_read = True
        _refuse_parameters("is given twice", [name for name, values in req.args.lists() if len(values) > 1])
        return super().load_querystring(req, schema)

    def handle_error(
        self,
        error: marshmallow.ValidationError,
        req: Any,
        schema: Any,
        *,
        error_status_code: Any,
        error_headers: Any,
    ) -> NoReturn:
        """Raise `Invalid`, which names every field that is wrong."""
        del req, schema, error_status_code, error_headers
        raise Invalid("Some fields are not valid; see errors.", faults(error.messages)[:_FAULTS_MAX]) from error


class Blueprint(SmorestBlueprint):  # type: ignore[misc] # flask-smorest ships no types
    """A family's operations, with our way of reading arguments."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *names: str, tag: str, scope: str | None = None, **options: Any) -> None:
        """Make it; with *scope*, also API keys may come in that have `scope:read` or `scope:write`."""
        super().__init__(*names, **options)
        self.tag = tag
        self.scope = scope

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Decorate a view with the arguments of *schema*, which is made once and not at each request."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)

    def response(self, *what: Any, **options: Any) -> Any:
        """Describe the answer of a view; one that reads no parameters refuses any."""
        describe = super().response(*what, **options)

        def decorate(view: Callable[..., Any]) -> Any:
            @wraps(view)
            def strict(*args: Any, **kwargs: Any) -> Any:
                if "parameters_are_read" not in g:
                    _refuse_parameters("Unknown field.", list(request.args))
                return view(*args, **kwargs)

            return describe(strict)

        return decorate


def _refuse_parameters(detail: str, names: list[str]) -> None:
    if names:
        found = [Fault(detail, name[:200], "parameter") for name in names[:_FAULTS_MAX]]
        raise Invalid("Some parameters are not valid; see errors.", found)


def read_json(req: Request) -> dict[str, Any]:
    """Read an object from the request's body."""
    if req.mimetype != "application/json":
        raise WrongMediaType("Send a JSON object with Content-Type: application/json.")
    if req.mimetype_params.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise WrongMediaType("JSON is UTF-8; leave charset out.")
    text = Body(req, BODY_MAX_BYTES, "A JSON body").read_all()
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotParseable(f"The body is not JSON: {error}.") from error
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", [Fault("must be an object", "")])
    names = _check(body)
    if len(_STRING.sub(b"", text).split(b":")) - 1 != names:
        raise Invalid("A field is given twice, and either could be meant.", [Fault("is given twice", "")])
    return body


def faults(messages: Any, path: str = "") -> list[Fault]:
    """Flatten marshmallow's *messages* into one fault a sentence, with JSON pointers or parameter names."""
    if isinstance(messages, Mapping):
        return [
            fault
            for key, inner in messages.items()
            for fault in (
                _parameter_faults(inner)
                if not path and key in {"query", "headers", "path"}
                else faults(
                    inner, path if (not path and key in {"json", "_schema"}) else f"{path}/{_escaped(str(key))}"
                )
            )
        ]
    sentences = messages if isinstance(messages, list) else [messages]
    return [Fault(str(sentence)[:500], path) for sentence in sentences]


def _parameter_faults(messages: Mapping[str, Any]) -> list[Fault]:
    return [
        Fault(str(sentence)[:500], str(name)[:200], "parameter")
        for name, sentences in messages.items()
        for sentence in (sentences if isinstance(sentences, list) else [sentences])
    ]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")[:200]


def _check(body: Any) -> int:
    """Return how many fields all objects in *body* have together.

    Raises `Invalid` for what is nested or numerous beyond reason, and for NUL, which not every part can keep.
    """
    level, items, names = [("", body)], 0, 0
    for _ in range(DEPTH_MAX):
        inner: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, dict):
                names += len(value)
                inner += [(f"{path}/{_escaped(name)}", one) for name, one in value.items()]
            elif isinstance(value, list):
                inner += [(f"{path}/{number}", one) for number, one in enumerate(value)]
            elif isinstance(value, str) and "\0" in value:
                raise Invalid("Text holds no NUL.", [Fault("holds NUL", path)])
        items += len(inner)
        if items > ITEMS_MAX:
            raise Invalid(f"A body holds at most {ITEMS_MAX} values.", [Fault("too many values", "")])
        if not inner:
            return names
        level = inner
    raise Invalid(f"A body is nested at most {DEPTH_MAX} deep.", [Fault("nested too deep", "")])
