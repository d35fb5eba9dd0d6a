"""Carriers: the messages on Celery's queues. A carrier names a queue and no job, so losing one loses nothing.

Celery's own code prepares the envelope, once a queue, so that it is what `apply_async` would have sent.
"""

import functools
import json
import re
from typing import Any

from celery import Celery
from kombu import Connection

TASK = "fairway.carrier"
ID_MARK = "@CARRIER@"
QUEUE_MARK = "@QUEUE@"
_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}\Z")
_SCRATCH = "memory://"


def celery_queue(queue: str) -> str:
    """Return the name of Celery's queue that serves our *queue*."""
    return f"fairway.{queue}"


@functools.cache
def envelope() -> str:
    """Return the message of a carrier as JSON, with `@CARRIER@` for its id and `@QUEUE@` for its queue's name.

    It is sent through Celery to kombu's in-memory transport and read back from there.
    """
    app = Celery("fairway-carriers", broker=_SCRATCH, set_as_current=False)
    there = celery_queue(QUEUE_MARK)
    app.conf.update(task_ignore_result=True, task_default_queue=there)
    with Connection(_SCRATCH) as connection, connection.channel() as channel:
        producer = app.amqp.Producer(channel)
        app.send_task(TASK, (), {}, task_id=ID_MARK, queue=there, producer=producer, ignore_result=True)
        message: dict[str, Any] = channel._get(there)  # noqa: SLF001 (the only way to read what was sent)
    message["properties"]["delivery_tag"] = ID_MARK
    message["properties"]["reply_to"] = ""
    message["headers"]["origin"] = "fairway"
    return json.dumps(message)


def carrier_id(raw: bytes) -> str | None:
    """Return the id in *raw* if it is a carrier's message, else `None`; never raises, whatever the bytes are."""
    try:
        message = json.loads(raw)
        found = message["headers"]["id"] if message["headers"]["task"] == TASK else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if isinstance(found, str) and _ID.match(found) else None


def carrier(queue: str, identity: str) -> dict[str, Any]:
    """Make the message of the carrier *identity*; nothing of it but the id ever came over the wire."""
    message: dict[str, Any] = json.loads(envelope().replace(QUEUE_MARK, queue).replace(ID_MARK, identity))
    return message
