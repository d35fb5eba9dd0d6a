"""The prepared carrier is what Celery itself would send, so that no upgrade can drift from it."""

import json
from typing import Any

import pytest
from celery import Celery
from common.probe.be_quick import BeQuick

from common.caller import Caller
from common.config import Settings
from common.jobs.carriers import TASK, carrier, carrier_id, celery_queue
from common.services import Services

QUEUE = "tickets"


@pytest.fixture
def sent(settings: Settings, services: Services) -> dict[str, Any]:
    """Let Celery send the carrier through Redis, and read it there."""
    app = Celery("sender", broker=settings.broker_url.get_secret_value(), set_as_current=False)
    app.conf.update(task_ignore_result=True)
    services.broker.delete(celery_queue(QUEUE))

    @app.task(name=TASK)
    def carry() -> None:
        """Stand for the task."""

    carry.apply_async((), {}, task_id="123-4", queue=celery_queue(QUEUE), ignore_result=True)
    app.close()
    raw = services.broker.rpop(celery_queue(QUEUE))
    assert isinstance(raw, bytes)
    message: dict[str, Any] = json.loads(raw)
    return message


def test_it_is_what_apply_async_sends(sent: dict[str, Any]) -> None:
    prepared = carrier(QUEUE, "123-4")

    assert prepared["headers"].pop("origin") == "fairway"
    assert sent["headers"].pop("origin")
    assert prepared["properties"].pop("reply_to") == ""
    assert sent["properties"].pop("reply_to")
    assert prepared["properties"].pop("delivery_tag") == "123-4"
    assert sent["properties"].pop("delivery_tag")
    assert prepared == sent


def test_the_script_pushes_the_same_but_for_its_id(services: Services, caller: Caller) -> None:
    services.lanes.beat(QUEUE, "w", 1, alive_s=5, hold_s=30)
    services.submit(caller, BeQuick())

    raw = services.broker.rpop(celery_queue(QUEUE))

    assert isinstance(raw, bytes)
    identity = carrier_id(raw)
    assert identity is not None
    assert json.loads(raw) == carrier(QUEUE, identity)
