"""Plain Celery and plain Flask, as short as a good engineer would write them: acknowledged late, not tracked."""

import os
import time

import marks
from celery import Celery
from flask import Flask, request

URL = os.environ["BENCH_BROKER_URL"]
tasks = Celery("plain", broker=URL, backend=URL)
tasks.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
    broker_connection_retry_on_startup=True,
)
if os.environ.get("BENCH_TUNED"):
    tasks.conf.update(task_ignore_result=True, worker_enable_remote_control=False, result_backend=None)


@tasks.task(name="noop")
def noop(number: int) -> None:
    """Do nothing, and leave a mark now and then."""
    marks.every_50th(number)


@tasks.task(name="take_time")
def take_time(number: int, ms: float, mark: str = "") -> None:
    """Sleep, and leave marks."""
    marks.began(mark)
    time.sleep(ms / 1000)
    marks.every_50th(number)


@tasks.task(name="stamp")
def stamp() -> None:
    """Say when it ran."""
    marks.stamp()


@tasks.task(name="accept", ignore_result=True)
def accept(body: dict) -> None:
    """Stand for heavy work that was accepted over HTTP; nobody runs it here."""


app = Flask("plain")


@app.post("/jobs")
def post() -> tuple[dict, int]:
    """Accept a job: parse it, check what matters, enqueue it."""
    body = request.get_json()
    if not isinstance(body.get("note"), str):
        return {"error": "note must be text"}, 422
    return {"id": accept.delay(body).id}, 202


@app.get("/jobs/<job_id>")
def look(job_id: str) -> dict:
    """Show a job: its state and its result."""
    found = tasks.AsyncResult(job_id)
    return {"id": found.id, "state": found.state, "result": found.result, "finished_at": str(found.date_done)}
