"""What this process counts for Prometheus; over several processes by the client's own multiprocess files."""

import functools
import os
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, start_http_server
from prometheus_client.registry import REGISTRY

from common import metric_files

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
if _DIRECTORY in os.environ:  # the first metric opens its file there as soon as it is made
    Path(os.environ[_DIRECTORY]).mkdir(parents=True, exist_ok=True)
    metric_files.use()

CAPACITY = Gauge(
    "fairway_database_used_ratio",
    "How much of a data database's limits is used",
    ["database", "figure"],
    multiprocess_mode="mostrecent",
)
SWALLOWED = Counter("fairway_swallowed_errors", "Errors survived on purpose, by where", ["where"])
ACCEPTED = Counter("fairway_jobs_accepted", "Jobs accepted, by kind", ["kind"])
accepted = functools.cache(ACCEPTED.labels)
"""The counter of one kind; looking it up each time costs more than counting."""
ENDED = Counter("fairway_job_runs_ended", "Runs of handlers that ended, by kind and outcome", ["kind", "outcome"])
RUN_SECONDS = Histogram("fairway_job_run_seconds", "How long handlers ran, by kind", ["kind"])
REFUSED_WRITES = Counter("fairway_writes_refused", "Writes refused because the lease was lost, by step", ["step"])
DISPATCH_SECONDS = Histogram(
    "fairway_dispatch_seconds",
    "From a job's being ready to its handler's running, by queue and kind",
    ["queue", "kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
RIDERS = Histogram(
    "fairway_riders", "Jobs that shared a turn of a slot, by queue", ["queue"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
LOSSES = Counter("fairway_job_losses", "Jobs whose worker died while it ran them, by kind", ["kind"])
QUARANTINED = Counter("fairway_messages_quarantined", "Messages on our queues that were no carriers", ["queue"])
JOBS = Gauge(
    "fairway_jobs",
    "Jobs that have not ended, by kind and state",
    ["kind", "state"],
    multiprocess_mode="mostrecent",
)
WAITING = Gauge("fairway_jobs_waiting", "Jobs in the lanes, by queue", ["queue"], multiprocess_mode="mostrecent")
OLDEST_SECONDS = Gauge(
    "fairway_oldest_job_seconds",
    "Age of the oldest queued job, by queue",
    ["queue"],
    multiprocess_mode="mostrecent",
)
BORROWED = Gauge(
    "fairway_slots_borrowed",
    "Slots given beyond a cap since the last rebuild",
    ["queue"],
    multiprocess_mode="mostrecent",
)
REBUILDING = Gauge(
    "fairway_lanes_rebuilding",
    "Jobs admitted by the rebuild under way; 0: none is",
    multiprocess_mode="mostrecent",
)
SLOTS = Gauge("fairway_slots", "Slots of live workers, by queue", ["queue"], multiprocess_mode="mostrecent")
SWEEP_LAG = Gauge(
    "fairway_sweep_lag_seconds",
    "Age of the last whole comparison with MongoDB",
    multiprocess_mode="mostrecent",
)
SWEPT = Counter("fairway_swept", "What the sweep mended, by what", ["what"])
RATE_LIMIT_TAKES = Counter(
    "fairway_rate_limit_takes", "Permits asked for, by use of the limiter and outcome", ["purpose", "outcome"]
)
RATE_LIMIT_WAIT_SECONDS = Histogram(
    "fairway_rate_limit_wait_seconds",
    "How long those who wait in line were told to wait, by use of the limiter",
    ["purpose"],
    buckets=(0, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)
RATE_LIMITS_ALONE = Counter(
    "fairway_rate_limits_alone", "Calls that a process limited alone, the shared limiter being away", ["purpose"]
)
LOCK_ATTEMPTS = Counter("fairway_lock_attempts", "Attempts to acquire a lock, by outcome", ["outcome"])
LOCKS_LOST = Counter("fairway_locks_lost", "Locks that were lost while they were held")
BREAKER_CHANGES = Counter("fairway_breaker_changes", "Changes of a circuit breaker's state, by new state", ["to"])
BREAKER_REFUSALS = Counter("fairway_breaker_refusals", "Calls that an open circuit breaker refused")
INGESTION_RUNS = Counter(
    "fairway_ingestion_runs", "Runs of sources that ended, by connector and outcome", ["connector", "outcome"]
)
INGESTION_PAGES = Counter(
    "fairway_ingestion_pages", "Pages of sources that were written, by connector", ["connector"]
)
INGESTION_TICKETS = Counter(
    "fairway_ingestion_tickets", "What became of the records of sources, by outcome", ["outcome"]
)
INGESTION_WAITS = Counter("fairway_ingestion_waits", "Runs of sources that had to wait, by reason", ["reason"])
STREAMS = Gauge("fairway_streams_open", "Streams of jobs' changes that are open", multiprocess_mode="livesum")
REQUESTS = Histogram(
    "fairway_request_seconds", "Requests, by method, route and status", ["method", "route", "status"]
)


SLOW = Counter("fairway_slow_operations", "Operations slower than a second", ["server", "operation"])
MONGO_CONNECTIONS = Gauge(
    "fairway_mongo_connections", "Connections to MongoDB, by state", ["state"], multiprocess_mode="livesum"
)
REDIS_CONNECTIONS = Gauge(
    "fairway_redis_connections",
    "Connections to Redis, by server and state",
    ["server", "state"],
    multiprocess_mode="livesum",
)
PROCESS_CPU = Gauge(
    "fairway_process_cpu_seconds", "Processor time of each process", ["process"], multiprocess_mode="liveall"
)
PROCESS_BYTES = Gauge(
    "fairway_process_resident_bytes", "Memory of each process", ["process"], multiprocess_mode="liveall"
)
PROCESS_THREADS = Gauge(
    "fairway_process_threads", "Threads of each process", ["process"], multiprocess_mode="liveall"
)


class _OfTheLiving(multiprocess.MultiProcessCollector):  # type: ignore[misc] # typed in parts only
    """The figures of all processes; what a dead one said of itself is dropped first."""

    def collect(self) -> Any:
        for file in Path(os.environ[_DIRECTORY]).glob("gauge_live*_*.db"):
            pid = int(file.stem.rsplit("_", 1)[-1])
            if not psutil.pid_exists(pid):
                multiprocess.mark_process_dead(pid)
        return super().collect()


def serve(host: str, port: int) -> None:
    """Serve the figures of every process that shares our directory, in a thread; port 0 serves nothing."""
    if port == 0:
        return
    registry = REGISTRY
    if _DIRECTORY in os.environ:
        registry = CollectorRegistry()
        _OfTheLiving(registry)
    start_http_server(port, addr=host, registry=registry)


def forget_process(pid: int) -> None:
    """Drop the live gauges of a process that has died."""
    if _DIRECTORY in os.environ:
        multiprocess.mark_process_dead(pid)
