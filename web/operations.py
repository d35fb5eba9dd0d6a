"""Operations: what is held, limited and broken, for those who run the platform; every change is audited."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import marshmallow as ma
from flask import Response

from common import operations
from common.errors import NotFound
from common.operations import Shown
from web.contract import paging, replies
from web.contract.authentication import actor, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, links, page_of

blueprint = Blueprint("operations", __name__, tag="Operators: coordination")

_HERE = "/v1/operations"
_KEY_MAX_CHARS = 20_000


class LockSchema(Shape):
    """A lock that is held."""

    id = ma.fields.String()
    key = ma.fields.String(metadata={"description": "the name, percent-encoded"})
    name = ma.fields.String()
    holder = ma.fields.String(metadata={"description": "the process or the job that holds it"})
    fence = ma.fields.String(metadata={"description": "the holder's number, which only grows"})
    since = instant()
    until = instant()
    links = links()


class LimitSchema(Shape):
    """How one limit of one key stands, or a penalty: then there is `held_until` and no `permits`."""

    id = ma.fields.String()
    key = ma.fields.String()
    purpose = ma.fields.String(metadata={"description": "`api` or `outside`"})
    name = ma.fields.String(metadata={"description": "whose it is: an organization, an address, a host"})
    permits = ma.fields.Integer(allow_none=True, metadata={"description": "of the API in tenths of requests"})
    per_s = ma.fields.Float(allow_none=True)
    remaining = ma.fields.Integer(allow_none=True)
    waiting = ma.fields.Integer(metadata={"description": "how many stand in line for it"})
    credential = ma.fields.String(allow_none=True, metadata={"description": "whom the penalty holds back"})
    held_since = instant(allow_none=True)
    held_until = instant(allow_none=True)
    links = links()


class BreakerSchema(Shape):
    """A circuit breaker; without a tenant it is the whole host's."""

    id = ma.fields.String()
    key = ma.fields.String()
    host = ma.fields.String()
    tenant = ma.fields.String(allow_none=True)
    credential = ma.fields.String(allow_none=True)
    state = ma.fields.String(validate=ma.validate.OneOf(["closed", "open", "half-open"]))
    since = instant()
    until = instant(allow_none=True)
    last_calls = ma.fields.String(metadata={"description": "1 a success, 0 a failure, the last one last"})
    links = links()


class AuditSchema(Shape):
    """A change that an operator made."""

    id = ma.fields.String()
    at = instant()
    actor = ma.fields.String()
    via = ma.fields.String(metadata={"description": "`api` or `command line`"})
    request_id = ma.fields.String(allow_none=True)
    action = ma.fields.String()
    subject = ma.fields.String()


class LimitsQuery(PageQuery):
    """Which limits to list."""

    saturated = ma.fields.Boolean(load_default=False, metadata={"description": "only those that hold somebody up"})


LOCK: dict[str, Any] = {
    "id": "c291cmNlJTNBNDI",
    "key": "source%3A42",
    "name": "source:42",
    "holder": "job 01920f3c-8a4e-7c1d-9b7a-2f6d5e4c3b2a",
    "fence": "4294967297",
    "since": "2026-01-31T09:30:00.000Z",
    "until": "2026-01-31T09:31:00.000Z",
    "links": {"reset": "/v1/operations/locks/c291cmNlJTNBNDI/reset"},
}
LIMIT: dict[str, Any] = {
    "id": "ZmFpcndheTpyYXRlOm91dHNpZGU6e2FwaS5leGFtcGxlfTp3aW5kb3c6NjA",
    "key": "fairway:rate:outside:{api.example}:window:60",
    "purpose": "outside",
    "name": "api.example",
    "permits": 60,
    "per_s": 60.0,
    "remaining": 0,
    "waiting": 4,
    "credential": None,
    "held_since": None,
    "held_until": None,
    "links": {
        "reset": "/v1/operations/rate-limits/ZmFpcndheTpyYXRlOm91dHNpZGU6e2FwaS5leGFtcGxlfTp3aW5kb3c6NjA/reset"
    },
}
BREAKER: dict[str, Any] = {
    "id": "ZmFpcndheTpicmVha2VyOnthcGkuZXhhbXBsZX06aG9zdA",
    "key": "fairway:breaker:{api.example}:host",
    "host": "api.example",
    "tenant": None,
    "credential": None,
    "state": "open",
    "since": "2026-01-31T09:30:00.000Z",
    "until": "2026-01-31T09:30:30.000Z",
    "last_calls": "",
    "links": {"reset": "/v1/operations/circuit-breakers/ZmFpcndheTpicmVha2VyOnthcGkuZXhhbXBsZX06aG9zdA/reset"},
}
AUDITED: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "at": "2026-01-31T09:30:00.000Z",
    "actor": "01920f3c-8a4e-7b2f-8c1d-6f5e4d3c2b1a",
    "via": "api",
    "request_id": "a-request",
    "action": "lock.reset",
    "subject": "source:42",
}


@blueprint.route(f"{_HERE}/locks", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(LockSchema, "LockPage"), example={"items": [LOCK], "next_cursor": None})
def list_locks(query: dict[str, Any]) -> Response:
    """List the locks that are held: by whom, since when and until when."""
    return _page(query, "locks", operations.locks)


@blueprint.route(f"{_HERE}/locks/<string:lock_id>/reset", methods=["POST"])
@requires("operator")
@blueprint.response(200, LockSchema, example=LOCK, description="It is free; who held it is shown")
def reset_lock(lock_id: str) -> Response:
    """Free a lock, whoever holds it. What that holder still writes is refused by the next one's fence."""
    return replies.one(_named("locks", operations.reset_lock(services(), actor(), _key(lock_id))))


@blueprint.route(f"{_HERE}/rate-limits", methods=["GET"])
@requires("operator")
@blueprint.arguments(LimitsQuery, location="query")
@blueprint.response(200, page_of(LimitSchema, "LimitPage"), example={"items": [LIMIT], "next_cursor": None})
def list_rate_limits(query: dict[str, Any]) -> Response:
    """List how every limit stands that somebody uses, and every penalty."""
    only = query["saturated"]
    return _page(
        query,
        "rate-limits",
        lambda made, *, after, limit: operations.rate_limits(made, after=after, limit=limit, only_saturated=only),
    )


@blueprint.route(f"{_HERE}/rate-limits/<string:limit_id>/reset", methods=["POST"])
@requires("operator")
@blueprint.response(200, LimitSchema, example=LIMIT, description="All of it is free; how it stood is shown")
def reset_rate_limit(limit_id: str) -> Response:
    """Forget what was used of a limit, or lift a penalty."""
    shown = operations.reset_rate_limit(services(), actor(), _key(limit_id))
    return replies.one(_named("rate-limits", shown))


@blueprint.route(f"{_HERE}/circuit-breakers", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(BreakerSchema, "BreakerPage"), example={"items": [BREAKER], "next_cursor": None})
def list_circuit_breakers(query: dict[str, Any]) -> Response:
    """List the circuit breakers that have a past."""
    return _page(query, "circuit-breakers", operations.circuit_breakers)


@blueprint.route(f"{_HERE}/circuit-breakers/<string:breaker_id>/reset", methods=["POST"])
@requires("operator")
@blueprint.response(200, BreakerSchema, example=BREAKER, description="It is closed; how it stood is shown")
def reset_circuit_breaker(breaker_id: str) -> Response:
    """Close a circuit breaker and forget its last calls."""
    shown = operations.reset_circuit_breaker(services(), actor(), _key(breaker_id))
    return replies.one(_named("circuit-breakers", shown))


@blueprint.route(f"{_HERE}/audit-log", methods=["GET"])
@requires("operator")
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(AuditSchema, "AuditPage"), example={"items": [AUDITED], "next_cursor": None})
def list_audit_log(query: dict[str, Any]) -> Response:
    """List what operators changed, newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = operations.audit_log(services(), before=before, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=dict, place=lambda one: one["id"])


def _page(query: dict[str, Any], what: str, read: Callable[..., Sequence[Shown]]) -> Response:
    who = caller()
    after = paging.position(who, query, _read_key) or ""
    found = read(services(), after=after, limit=query["limit"] + 1)
    return paging.page(who, query, found, dump=lambda one: _named(what, one), place=lambda one: one["key"])


def _named(what: str, shown: Shown) -> dict[str, Any]:
    """Add the id, which is the key as a path can hold it, and the links."""
    one_id = base64.urlsafe_b64encode(shown["key"].encode()).decode().rstrip("=")
    return {"id": one_id, **shown, "links": {"reset": f"{_HERE}/{what}/{one_id}/reset"}}


def _key(of_id: str) -> str:
    """Return the key that an id stands for. Raises `NotFound` for what is no id."""
    try:
        return _read_key(base64.b64decode(of_id + "=" * (-len(of_id) % 4), altchars=b"-_", validate=True).decode())
    except ValueError as error:
        raise NotFound("There is no such thing here.") from error


def _read_key(value: Any) -> str:
    """Read the key after which a page begins. Raises `ValueError`."""
    if not isinstance(value, str) or not 0 < len(value) <= _KEY_MAX_CHARS:
        raise ValueError("no key")
    return value
