"""Alive, and ready: for balancers and for whoever starts the stack."""

from flask import Response

from web.contract import replies
from web.contract.json_bodies import Blueprint
from web.contract.services import services

blueprint = Blueprint("health", __name__, tag="Platform")


@blueprint.route("/healthz", methods=["GET"])
@blueprint.response(200, description="The process is alive")
def healthz() -> Response:
    """Say that this process is alive; no I/O."""
    return replies.one({"status": "alive"})


@blueprint.route("/readyz", methods=["GET"])
@blueprint.response(200, description="Requests are accepted; `degraded` names what is missing")
def readyz() -> Response:
    """Say whether requests are accepted: 503 only without a MongoDB primary."""
    is_ready, degraded = services().probe()
    body = {"status": "ready" if is_ready else "not ready", "degraded": sorted(degraded)}
    if is_ready:
        return replies.one(body)
    return replies.one(body, status=503, headers={"Retry-After": "2"})
