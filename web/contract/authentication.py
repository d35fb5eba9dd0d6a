"""Who asks: one Bearer token in one Authorization header; the organization comes from it and from nowhere else."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import g, request

from common.audit import Actor
from common.caller import Caller, Role
from common.errors import Forbidden, Unauthenticated
from web.contract.services import services

F = TypeVar("F", bound=Callable[..., Any])
ANYONE: tuple[Role, ...] = ("operator", "admin", "member")


def requires(*roles: Role) -> Callable[[F], F]:
    """Let only callers of these roles in. Raises `Unauthenticated` or `Forbidden` in the view's place."""

    def decorate(view: F) -> F:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            caller = identify()
            if caller.role not in roles:
                raise Forbidden("Your role may not do this.")
            g.caller = caller
            return view(*args, **kwargs)

        guarded.is_guarded = True  # type: ignore[attr-defined]
        guarded._apidoc = getattr(view, "_apidoc", {})  # type: ignore[attr-defined]  # noqa: SLF001 (flask-smorest's)
        return guarded  # type: ignore[return-value]

    return decorate


def caller() -> Caller:
    """Return who asks; only in a view that `requires` somebody."""
    found: Caller = g.caller
    return found


def actor() -> Actor:
    """Return who asks, as the audit names them."""
    who = caller()
    return Actor(name=who.user_id, via="api", request_id=who.request_id)


def peek() -> Caller | None:
    """Return who asks, or `None` without credentials that hold."""
    if "Authorization" not in request.headers:
        return None
    try:
        return identify()
    except Unauthenticated:
        return None


def identify() -> Caller:
    """Return who asks. Raises `Unauthenticated`."""
    known: Caller | None = g.get("identity")
    if known is None:
        known = g.identity = _read()
    return known


def _read() -> Caller:
    headers = request.headers.getlist("Authorization")
    if len(headers) != 1 or "," in headers[0]:
        raise Unauthenticated("Send one Authorization header: Bearer and an access token.")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token or token != token.strip():
        raise Unauthenticated("Send Authorization: Bearer and an access token.")
    claims = services().tokens.verify(token)
    return Caller(
        org_id=claims.org_id,
        user_id=claims.user_id,
        role=claims.role,
        request_id=g.request_id,
        only_job=claims.only_job,
        traceparent=g.traceparent,
        expires_at=claims.expires_at,
    )
