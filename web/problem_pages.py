"""A readable page for each type of problem, at the address that the problem names."""

from flask import Response
from markupsafe import escape

from common.errors import NotFound
from web.contract.json_bodies import Blueprint
from web.contract.problems import TITLES

blueprint = Blueprint("problems", __name__, description="What the types of problem mean")

_ADVICE = {
    "not-parseable": "The body or a parameter is not what it claims to be. Check the JSON or the framing.",
    "unauthenticated": "Sign in at POST /v1/auth/token and send the token as Authorization: Bearer.",
    "forbidden": "You are known, but your role may not do this. Ask an admin of your organization.",
    "precondition-failed": "It was changed since you read it. Read it again, and send its new ETag in If-Match.",
    "precondition-required": "Read the thing, and send its ETag in If-Match, so that nobody's change is undone.",
    "not-found": "There is nothing here, or it belongs to another organization; the two are never told apart.",
    "method-not-allowed": "The address exists, but not with this method. See the Allow header.",
    "not-acceptable": "Accept application/json.",
    "conflict": "The thing is in a state that does not allow this. Look at it again, then decide.",
    "too-large": "Send less: the detail says how much is taken.",
    "wrong-media-type": "Send the Content-Type that the operation names in the OpenAPI document.",
    "invalid": "The request was read, but some of it is not valid. Each fault is listed under errors.",
    "idempotency-key-reused": "A key stands for one request. Take a new key for a new request.",
    "too-many-requests": "Wait as long as the Retry-After header says.",
    "internal": "This is our fault. It is logged under the request_id; report it with that.",
    "unavailable": (
        "A server that is needed does not answer. Try again after Retry-After; what would change something "
        "with the same Idempotency-Key, because it may have been done."
    ),
}


@blueprint.route("/problems/<string:code>", methods=["GET"])
@blueprint.response(200, content_type="text/html", description="A page about this type of problem")
def problem_page(code: str) -> Response:
    """Explain a type of problem."""
    if code not in _ADVICE:
        raise NotFound("There is no such type of problem.")
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(TITLES[code])}</title>"
        f"<h1>{escape(TITLES[code])}</h1><p>{escape(_ADVICE[code])}</p>"
    )
    return Response(page, content_type="text/html; charset=utf-8")
