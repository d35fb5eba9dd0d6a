"""What this process counts for Prometheus; over several processes by the client's own multiprocess files."""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, start_http_server
from prometheus_client.registry import REGISTRY

from common import metric_files

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
if _DIRECTORY in os.environ:  # the first metric opens its file there as soon as it is made
    Path(os.environ[_DIRECTORY]).mkdir(parents=True, exist_ok=True)
    metric_files.use()

SWALLOWED = Counter("fairway_swallowed_errors", "Errors survived on purpose, by where", ["where"])
ACCEPTED = Counter("fairway_jobs_accepted", "Jobs accepted, by kind", ["kind"])
ENDED = Counter("fairway_job_runs_ended", "Runs of handlers that ended, by kind and outcome", ["kind", "outcome"])
RUN_SECONDS = Histogram("fairway_job_run_seconds", "How long handlers ran, by kind", ["kind"])
REFUSED_WRITES = Counter("fairway_writes_refused", "Writes refused because the lease was lost, by step", ["step"])
LOSSES = Counter("fairway_job_losses", "Jobs whose worker died while it ran them, by kind", ["kind"])
QUARANTINED = Counter("fairway_messages_quarantined", "Messages on our queues that were no carriers", ["queue"])
WAITING = Gauge("fairway_jobs_waiting", "Jobs in the lane, by queue", ["queue"], multiprocess_mode="mostrecent")
SLOTS = Gauge("fairway_slots", "Slots of live workers, by queue", ["queue"], multiprocess_mode="mostrecent")
SWEEP_LAG = Gauge(
    "fairway_sweep_lag_seconds",
    "Age of the last whole comparison with MongoDB",
    multiprocess_mode="mostrecent",
)
SWEPT = Counter("fairway_swept", "What the sweep mended, by what", ["what"])
REQUESTS = Histogram("fairway_request_seconds", "Requests, by route and status", ["route", "status"])


def serve(host: str, port: int) -> None:
    """Serve the figures of every process that shares our directory, in a thread; port 0 serves nothing."""
    if port == 0:
        return
    registry = REGISTRY
    if _DIRECTORY in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    start_http_server(port, addr=host, registry=registry)


def forget_process(pid: int) -> None:
    """Drop the live gauges of a process that has died."""
    if _DIRECTORY in os.environ:
        multiprocess.mark_process_dead(pid)
