"""One's own sessions: where one is signed in, and ending one of them from another."""

from typing import Any

import marshmallow as ma
from flask import Response

from common.clock import rfc3339
from common.organizations.sessions import Session
from web.contract import paging
from web.contract.authentication import ANYONE, caller, requires
from web.contract.json_bodies import Blueprint
from web.contract.paging import PageQuery
from web.contract.services import services
from web.contract.shapes import Shape, instant, page_of

blueprint = Blueprint("sessions", __name__, tag="Sign-in")


class SessionSchema(Shape):
    """A session of the person who asks."""

    id = ma.fields.String()
    is_current = ma.fields.Boolean(metadata={"description": "whether it is the one that asks"})
    created_at = instant()
    refreshed_at = ma.fields.String(allow_none=True, metadata={"format": "date-time"})
    expires_at = instant()


_EXAMPLE: dict[str, Any] = {
    "id": "01920f3c-8a4e-7b2f-8c1d-1a2b3c4d5e6f",
    "is_current": True,
    "created_at": "2026-01-31T09:30:00.000Z",
    "refreshed_at": None,
    "expires_at": "2026-03-02T09:30:00.000Z",
}


@blueprint.route("/v1/sessions", methods=["GET"])
@requires(*ANYONE)
@blueprint.arguments(PageQuery, location="query")
@blueprint.response(200, page_of(SessionSchema, "SessionPage"), example={"items": [_EXAMPLE], "next_cursor": None})
def list_sessions(query: dict[str, Any]) -> Response:
    """List one's own sessions, the newest first."""
    who = caller()
    before = paging.position(who, query, paging.read_id)
    found = services().sessions.page(who.org_id, who.user_id, before=before, limit=query["limit"] + 1)
    return paging.page(
        who,
        query,
        found,
        dump=lambda one: _shown(one, is_current=one.session_id == who.session_id),
        place=lambda one: one.session_id,
    )


@blueprint.route("/v1/sessions/<id:session_id>", methods=["DELETE"])
@requires(*ANYONE)
@blueprint.response(204, description="It is over; its tokens are refused within 5 seconds everywhere")
def end_session(session_id: str) -> Response:
    """End one of one's own sessions."""
    who = caller()
    services().sessions.end_own(who.org_id, who.user_id, session_id)
    return Response(status=204)


def _shown(session: Session, *, is_current: bool) -> dict[str, Any]:
    refreshed_at = session.refreshed_at
    return {
        "id": session.session_id,
        "is_current": is_current,
        "created_at": rfc3339(session.created_at),
        "refreshed_at": rfc3339(refreshed_at) if refreshed_at is not None else None,
        "expires_at": rfc3339(session.expires_at),
    }
