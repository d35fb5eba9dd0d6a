"""Who asks: one Bearer token in one Authorization header; the organization comes from it and from nowhere else.

What a credential says is held against what is so now, with every request: a session that is over, a person who was
removed or has another role, an organization that was deleted count within seconds.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import current_app, g, request
from pymongo.errors import PyMongoError

from common.audit import Actor
from common.caller import Caller, Role
from common.errors import Forbidden, Unauthenticated
from common.organizations.api_keys import PREFIX
from common.organizations.standing import Identity
from common.services import Services
from web.contract.addresses import client_address, is_within
from web.contract.services import services

F = TypeVar("F", bound=Callable[..., Any])
ANYONE: tuple[Role, ...] = ("operator", "admin", "member")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def requires(*roles: Role) -> Callable[[F], F]:
    """Let only callers of these roles in. Raises `Unauthenticated` or `Forbidden` in the view's place."""

    def decorate(view: F) -> F:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            caller = identify()
            if caller.role not in roles:
                raise Forbidden("Your role may not do this.")
            _refuse_beyond_scopes(caller)
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


def lasting() -> Callable[[], bool]:
    """Return what tells, from now on and in any thread, whether the credential of this request still holds."""
    made, token = services(), g.credential

    def holds() -> bool:
        try:
            _stands_for(made, token)
        except (Unauthenticated, PyMongoError):  # who can't be asked about is not let on
            return False
        return True

    return holds


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
    who = _stands_for(services(), token)
    if who.role == "operator" and not is_within(client_address(), services().settings.operator_networks):
        raise Forbidden(
            "Operators work from the networks in FAIRWAY_OPERATOR_NETWORKS only; this address is in none."
        )
    g.credential = token
    return Caller(
        org_id=who.org_id,
        user_id=who.user_id,
        role=who.role,
        request_id=g.request_id,
        only_job=who.only_job,
        traceparent=g.traceparent,
        expires_at=who.expires_at,
        session_id=who.session_id,
        scopes=who.scopes,
    )


def _stands_for(made: Services, token: str) -> Identity:
    if token.startswith(PREFIX):
        return made.standing.of_key(token)
    return made.standing.of(made.tokens.verify(token))


def _refuse_beyond_scopes(who: Caller) -> None:
    if who.scopes is None:
        return
    family = current_app.blueprints[request.blueprint or ""]
    scope = getattr(family, "scope", None)
    if scope is None:
        raise Forbidden("An API key may not do this: sign in as a person.")
    needed = f"{scope}:{'read' if request.method in _READING else 'write'}"
    if needed not in who.scopes:
        raise Forbidden(f"This API key lacks the scope {needed}.")
