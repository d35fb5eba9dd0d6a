"""The services of this process, made once it runs: never before the server has forked it."""

from typing import cast

from flask import current_app

from common.services import Services


def services() -> Services:
    """Return what this process works with."""
    return cast("Services", current_app.extensions["fairway"])
