"""Kinds of job that callers may submit as they are: one literal path each, checked by the kind's own types."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import marshmallow as ma
import pydantic
from flask import Response

from common.clock import rfc3339
from common.errors import Fault, Invalid
from common.jobs.idempotency import Answer
from common.jobs.kind import Job, discover, encode, read_strictly, schema_of
from common.jobs.record import TAG_MAX_CHARS, TAGS_MAX, JobRecord
from web.contract import idempotency, openapi, paging, replies
from web.contract.authentication import ANYONE, actor, caller, requires
from web.contract.idempotency import once
from web.contract.instants import Instant
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, links, page_of
from web.job_document import ACCEPTED_EXAMPLE, JobSchema, accepted_headers, dump

blueprint = Blueprint("kinds", __name__, tag="Kinds of job", scope="jobs")

RUN_AT_MOST = timedelta(days=366)
_OPEN = {name: kind for name, kind in sorted(discover().items()) if kind.open_to}


class KindSchema(Shape):
    """A kind of job."""

    kind = ma.fields.String()
    description = ma.fields.String()
    queue = ma.fields.String(metadata={"description": "its jobs wait in the organization's lane of this queue"})
    priority = ma.fields.Integer(metadata={"description": "of its jobs, where none is asked for"})
    time_limit_s = ma.fields.Float(metadata={"description": "how long one attempt may run"})
    max_attempts = ma.fields.Integer()
    payload_schema = ma.fields.Dict(metadata={"description": "JSON Schema (2020-12) of the payload"})
    links = links()


class Payload(ma.fields.Field[Any]):
    """A kind's payload, read by the kind's own types."""

    def __init__(self, kind: type[Job]) -> None:
        super().__init__(required=True, metadata=_inlined(schema_of(kind)))
        self._kind = kind

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Job:
        del attr, data, kwargs
        if not isinstance(value, dict):
            raise ma.ValidationError("Must be an object.")
        try:
            job = read_strictly(self._kind, value)
            encode(job)
        except pydantic.ValidationError as error:
            raise ma.ValidationError(_messages(error)) from error
        except ValueError as error:  # more than a job may carry
            raise ma.ValidationError(str(error)) from error
        return job


class Submission(ma.Schema):
    """What goes with every payload."""

    run_at = Instant(
        load_default=None, allow_none=True, metadata={"description": "not before; at most a year ahead"}
    )
    priority = ma.fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=ma.validate.Range(0, 9),
        metadata={"description": "among the organization's own jobs: a higher one goes first"},
    )
    tags = ma.fields.List(
        ma.fields.String(validate=ma.validate.Length(1, TAG_MAX_CHARS)),
        load_default=list,
        validate=ma.validate.Length(0, TAGS_MAX),
    )


_EXAMPLE: dict[str, Any] = {
    "kind": "family.verb_object",
    "description": "Go through some steps.",
    "queue": "organizations",
    "priority": 5,
    "time_limit_s": 60.0,
    "max_attempts": 5,
    "payload_schema": {"type": "object", "properties": {"steps": {"type": "integer"}}},
    "links": {"submit": "/v1/kinds/family.verb_object/jobs"},
}


@blueprint.route("/v1/kinds", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(KindSchema, "KindPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_kinds(query: dict[str, Any]) -> Response:
    """List the kinds of job that the caller may submit, with the schemas of their payloads."""
    who = caller()
    return paging.part(who, query, [_shown(kind) for kind in _OPEN.values() if who.role in kind.open_to])


def _offer(kind: type[Job]) -> None:
    """Make the operation that submits a job of *kind*."""

    def submit(asked: dict[str, Any]) -> Response:
        who, made = caller(), services()
        _refuse_too_late(asked)
        used = once(
            f"kinds.{kind.name}",
            scope=who.org_id,
            request_parts=[encode(asked["payload"]), _text(asked), asked["priority"], asked["tags"]],
            answer=_accepted,
        )
        if who.role == "operator":
            made.audit.note(actor(), "job.submit", kind.name)
        options = {name: asked[name] for name in ("run_at", "priority", "tags")}
        record = made.submit(who, asked["payload"], once=used, **options)
        given = _accepted(record)
        return replies.one(given.body, status=given.status, headers=given.headers)

    submit.__name__ = submit.__qualname__ = f"submit_{kind.name.replace('.', '_')}"
    submit.__doc__ = f"Submit a job. {_first_line(kind)}"
    schema = Submission.from_dict({"payload": Payload(kind)}, name=f"Submit_{kind.name.replace('.', '_')}")
    example = ACCEPTED_EXAMPLE | {"kind": kind.name}
    view = blueprint.response(202, JobSchema, example=example)(submit)
    view = blueprint.doc(parameters=[idempotency.PARAMETER], responses=openapi.errors("conflict"))(view)
    view = requires(*kind.open_to)(blueprint.arguments(schema)(view))
    blueprint.route(f"/v1/kinds/{kind.name}/jobs", methods=["POST"], endpoint=submit.__name__)(view)


def _accepted(record: JobRecord) -> Answer:
    return Answer(202, dump(record), accepted_headers(record))


def _refuse_too_late(asked: Mapping[str, Any]) -> None:
    if asked["run_at"] is not None and asked["run_at"] > services().clock.now() + RUN_AT_MOST:
        raise Invalid("That is too far ahead.", [Fault("at most a year from now", "/run_at")])


def _text(asked: Mapping[str, Any]) -> str | None:
    return rfc3339(asked["run_at"]) if asked["run_at"] is not None else None


def _shown(kind: type[Job]) -> dict[str, Any]:
    return {
        "kind": kind.name,
        "description": _first_line(kind),
        "queue": kind.terms.queue,
        "priority": kind.terms.priority,
        "time_limit_s": kind.terms.time_limit_s,
        "max_attempts": kind.terms.max_attempts,
        "payload_schema": schema_of(kind),
        "links": {"submit": f"/v1/kinds/{kind.name}/jobs"},
    }


def _first_line(kind: type[Job]) -> str:
    return (kind.__doc__ or "").strip().split("\n", 1)[0].replace("*", "`")


def _messages(error: pydantic.ValidationError) -> dict[str, Any]:
    """Return pydantic's faults as marshmallow nests them: by field, each with its sentences."""
    found: dict[str, Any] = {}
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        place = [str(part) for part in fault["loc"]] or ["_schema"]
        inner = found
        for part in place[:-1]:
            inner = inner.setdefault(part, {}) if isinstance(inner.get(part, {}), dict) else inner
        inner.setdefault(place[-1], []).append(f"{fault['msg']}.")
    return found


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* with its own definitions in place of the references to them."""
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, list):
            return [resolve(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolve(definitions[part["$ref"].rsplit("/", 1)[-1]])
        return {name: resolve(one) for name, one in part.items()}

    found: dict[str, Any] = resolve(schema)
    return found


for _kind in _OPEN.values():
    _offer(_kind)
