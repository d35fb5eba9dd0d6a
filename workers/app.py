"""The Celery application: one task, the carrier, and what its worker's processes set up and take down."""

import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billiard import current_process
from celery import Celery, signals

from common import logs, metrics, tracing
from common.config import current
from common.errors import Misconfigured
from common.jobs.carriers import TASK, celery_queue
from common.jobs.kind import queues
from common.services import Services
from workers import quarantine, runner, scratch
from workers.carrier import Place, work
from workers.clerk import Clerk
from workers.events import JobEvents
from workers.holding import Holding, NotesOfTheParent
from workers.parent import Parent
from workers.slots import Slots

quarantine.install()
app = Celery("fairway")
app.config_from_object("celeryconfig")

# The clerk's thread must not keep the handler's waiting for the interpreter while it encodes.
SWITCH_S = 0.0002
COLLECTED_AFTER = 20_000
"""So many new objects are looked through for cycles at once; Python's own 700 are a tenth of a page of records."""

_slots = Slots()
_post: "Post | None" = None
_parent: Parent | None = None
_place: Place | None = None
_scratch: Path | None = None


@dataclass(frozen=True)
class Post:
    """What this worker serves: known in its parent before the first child is forked."""

    worker: str
    queue: str
    size: int


@app.task(name=TASK, bind=True, ignore_result=True, send_events=False)
def carry(task: Any) -> None:
    """Take jobs from the lanes while there are any."""
    if _place is not None:
        work(_place, task.request.id)


@signals.setup_logging.connect
def set_up_logging(**_: Any) -> None:
    """Log through our own stream, not Celery's."""
    settings = current()
    logs.configure(process="worker", as_json=settings.log_format == "json", level=settings.log_level)


@signals.celeryd_after_setup.connect
def take_post(sender: str, instance: Any, **_: Any) -> None:
    """Note which queue this worker serves; one worker serves one queue, so that its pool can be scaled alone."""
    global _post  # noqa: PLW0603 (Celery's signals leave no other place)
    global _scratch  # noqa: PLW0603 (as below)
    _refuse_to_start_wrongly()
    _scratch = scratch.use_own()
    served = {celery_queue(queue): queue for queue in queues()}
    names = list(instance.app.amqp.queues.consume_from)
    if len(names) != 1 or names[0] not in served:
        sys.exit(f"Give a worker exactly one queue with -Q, one of: {', '.join(sorted(served))}.")
    _post = Post(worker=sender, queue=served[names[0]], size=instance.concurrency)


@signals.worker_ready.connect
def start_parent(**_: Any) -> None:
    """Start the guardian once the worker consumes."""
    global _parent  # noqa: PLW0603 (as above)
    if _post is None:
        return
    settings = current()
    services = Services(settings, process=f"worker:{_post.queue}")
    _parent = Parent(services, _slots, queue=_post.queue, worker=_post.worker, size=_post.size)
    _parent.start()
    services.figures.start()
    services.meter.start()
    metrics.serve(settings.metrics_host, settings.metrics_port)


@signals.worker_shutting_down.connect
def close_parent(**_: Any) -> None:
    """Take no more work and let the running handlers reach a checkpoint."""
    if _parent is not None:
        _parent.close()
    else:
        _slots.close()


@signals.worker_shutdown.connect
def stop_parent(**_: Any) -> None:
    """Say that this worker is gone."""
    if _parent is not None:
        _parent.stop()
    if _scratch is not None:
        scratch.leave(_scratch)


@signals.worker_process_init.connect
def set_up_child(**_: Any) -> None:
    """Make this child's own clients: none may be shared over the fork."""
    global _place  # noqa: PLW0603 (the task has no other way to its process's parts)
    if _post is None:
        return
    sys.setswitchinterval(SWITCH_S)
    tracing.start("worker")
    runner.discover()
    slot = _slots[current_process().index]
    holding = Holding(slot)
    services = Services(current(), process=f"worker:{_post.queue}:child")
    services.figures.start()
    events = JobEvents(app, _post.worker, services.broker)
    services.meter.start()
    clerk = Clerk(services.jobs, services.lanes, events, services.clock, holding.remove, meter=services.meter)
    clerk.start()

    def is_closing() -> bool:
        return _slots.is_closing

    _place = Place(
        services=services,
        worker=_post.worker,
        queue=_post.queue,
        clerk=clerk,
        events=events,
        holding=holding,
        is_closing=is_closing,
        signals_for=lambda claimed: NotesOfTheParent(slot, claimed, is_closing),
    )
    # What is loaded by now stays: no collection of what a handler leaves has to look through it. Nor is a page of
    # records, which has no cycles, looked through many times while it is read.
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])


@signals.worker_process_shutdown.connect
def take_down_child(**_: Any) -> None:
    """Write down what is left before the process ends."""
    if _place is not None:
        _place.clerk.finish()
        _place.services.close()
    tracing.stop()


def _refuse_to_start_wrongly() -> None:
    try:
        services = Services.open(current(), process="worker")
        services.prepare()
        services.close()
    except Misconfigured as error:
        sys.exit(error.detail)
