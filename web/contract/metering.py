"""Requests are counted for the organization whose credentials came with them, however they end."""

from http import HTTPStatus

from flask import Flask, Response, g

from common.caller import Caller
from web.contract.services import services


def register(app: Flask) -> None:
    """Count the requests of *app*."""
    app.after_request(count)


def count(response: Response) -> Response:
    """Count one request, in memory, and whether it was refused as one too many."""
    caller: Caller | None = g.get("identity")
    if caller is not None:
        meter = services().meter
        meter.add(caller.org_id, "requests")
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            meter.add(caller.org_id, "refused")
    return response
