"""Messages that are no carriers: each is put aside or read as one, and none stops a worker."""

import base64
import json
from typing import Any

import pytest
from common.probe.leave_marks import LeaveMarks

from common.jobs.carriers import carrier
from tests.faults.fleet import QUEUE, Fleet, until

BODY = base64.b64encode(b"[[], {}, {}]").decode()


def changed(**parts: Any) -> bytes:
    """Make a carrier's message with other *parts*; those of `headers` and `properties` go into it."""
    message = carrier(QUEUE, "1-1")
    for name in ("headers", "properties"):
        given = parts.pop(name, {})
        message[name] = {**message[name], **given} if isinstance(given, dict) else given
    return json.dumps({**message, **parts}).encode()


NO_CARRIERS = {
    "text": b"not json",
    "nothing": b"",
    "a number": b"7",
    "a list": b"[1, 2]",
    "no UTF-8": b"\xff\xfe\x00",
    "depth": b"[" * 200_000,
    "an empty object": b"{}",
    "headers that are a list": changed(headers=[1, 2]),
    "an unknown task": changed(headers={"task": "os.system"}),
    "an id that is no carrier's": changed(headers={"id": "$(reboot)"}),
}
READ_AS_CARRIERS = {
    "no delivery tag": json.dumps({**carrier(QUEUE, "1-1"), "properties": {}}).encode(),
    "an unknown encoding": changed(properties={"body_encoding": "rot13"}),
    "a body that is no base64": changed(body="%%%"),
    "a body that is an object": changed(body={"a": 1}),
    "a body that is no JSON": changed(body=base64.b64encode(b"not json").decode()),
    "limits of time as text": changed(headers={"timelimit": ["soon", "later"]}),
    "an argument too many": changed(body=base64.b64encode(b"[[1, 2], {}, {}]").decode()),
    "pickle": changed(**{"content-type": "application/x-python-serialize"}),
    "an unknown content type": changed(**{"content-type": "text/klingon"}),
    "a time that is none": changed(headers={"eta": "the day after tomorrow"}),
}


def test_no_message_stops_a_worker(fleet: Fleet) -> None:
    work = LeaveMarks(steps=4, pause_s=0.05)
    fleet.submit(work, 10)
    client = fleet.raw_redis()
    with fleet.fault("malformed messages, each twice"):
        for message in [*NO_CARRIERS.values(), *READ_AS_CARRIERS.values()] * 2:
            client.lpush(f"fairway.{QUEUE}", message)
    fleet.submit(work, 10)

    fleet.settle()
    until(lambda: client.llen("fairway:quarantine") == 2 * len(NO_CARRIERS), "the quarantine", report=fleet.report)
    assert {fleet.supervisor.restarts_of(name) for name in fleet.workers} == {0}
    fleet.check()


@pytest.mark.slow
def test_a_flood_of_messages_delays_nobody_for_long(fleet: Fleet) -> None:
    client = fleet.raw_redis()
    with fleet.fault("5,000 malformed messages at once"):
        for _ in range(5_000):
            client.rpush(f"fairway.{QUEUE}", b"not json")
        fleet.submit(LeaveMarks(steps=4), 10)
        fleet.settle()

    assert client.llen("fairway:quarantine") <= 1_000
    fleet.check()
