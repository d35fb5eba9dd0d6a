"""A readable page for each type of problem, at the address that the problem names."""

from flask import Response
from markupsafe import escape

from common.errors import NotFound
from web.contract.json_bodies import Blueprint
from web.contract.problems import STATUSES, TITLES

blueprint = Blueprint("problems", __name__, tag="Platform")

_ADVICE = {
    "not-parseable": "The body or a parameter is not what it claims to be. Check the JSON or the framing.",
    "unauthenticated": "Sign in at POST /v1/auth/token and send the token as Authorization: Bearer.",
    "forbidden": "You are known, but your role may not do this. Ask an admin of your organization.",
    "precondition-failed": "It was changed since you read it. Read it again, and send its new ETag in If-Match.",
    "precondition-required": "Read the thing, and send its ETag in If-Match, so that nobody's change is undone.",
    "not-found": "There is nothing here, or it is another organization's or in a room that you have no part in.",
    "method-not-allowed": "The address exists, but not with this method. See the Allow header.",
    "not-acceptable": "Accept application/json.",
    "conflict": "The thing is in a state that does not allow this. Look at it again, then decide.",
    "too-large": "Send less: the detail says how much is taken.",
    "wrong-media-type": "Send the Content-Type that the operation names in the OpenAPI document.",
    "range-not-satisfiable": "Ask without Range for the whole; Content-Range tells how long that is.",
    "invalid": "The request was read, but some of it is not valid. Each fault is listed under errors.",
    "idempotency-key-reused": "A key stands for one request. Take a new key for a new request.",
    "too-many-requests": "Wait as long as the Retry-After header says.",
    "internal": "This is our fault. It is logged under the request_id; report it with that.",
    "unavailable": (
        "A server that is needed does not answer. Try again after Retry-After; what would change something "
        "with the same Idempotency-Key, because it may have been done."
    ),
}


@blueprint.route("/problems", methods=["GET"])
@blueprint.response(200, content_type="text/html", description="All types of problem")
def list_problems() -> Response:
    """List all types of problem."""
    rows = "".join(
        f'<tr><td>{_status(code)}</td><td><a href="/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{escape(title)}</td></tr>"
        for code, title in TITLES.items()
    )
    return _page(
        "What can go wrong, and what to do",
        f"<table><thead><tr><th>status</th><th>type</th><th></th></tr></thead><tbody>{rows}</tbody></table>",
    )


@blueprint.route("/problems/<string:code>", methods=["GET"])
@blueprint.response(200, content_type="text/html", description="A page about this type of problem")
def problem_page(code: str) -> Response:
    """Explain a type of problem."""
    if code not in _ADVICE:
        raise NotFound("There is no such type of problem.")
    return _page(
        TITLES[code],
        f'<p class="quiet"><code>/problems/{code}</code> comes with status {_status(code)}.</p>'
        f"<p>{escape(_ADVICE[code])}</p>"
        '<p><a href="/problems">All types of problem</a> · <a href="/docs">The contract</a></p>',
    )


def _page(title: str, body: str) -> Response:
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/assets/pages.css"><main><h1>{escape(title)}</h1>{body}</main></html>'
    )
    return Response(page, content_type="text/html; charset=utf-8")


def _status(code: str) -> str:
    return STATUSES.get(code, STATUSES["invalid"])
