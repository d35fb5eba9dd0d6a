"""Celery's settings, each with its reason. Celery carries and executes; it is never the memory."""

from common.config import current

_settings = current()

broker_url = _settings.broker_url.get_secret_value()

# Results are in MongoDB with the job's record; a second, lossy copy would only be able to lie.
result_backend = None
task_ignore_result = True

# The record is what runs again after a death, so the broker need not; late acknowledgement repeats healthy work.
task_acks_late = False

# Take a message only when a slot is free: with prefetch 1 a job waited behind a long one beside an idle worker.
worker_disable_prefetch = True
worker_prefetch_multiplier = 1

# A message that pickles is a message that executes code.
accept_content = ["json"]
task_serializer = "json"

# Workers outlive their broker: they wait for it, and for a broker that is back empty.
broker_connection_retry_on_startup = True
broker_connection_retry = True
broker_connection_max_retries = None

# A half-open connection is noticed in seconds; without these a publish blocks as long as Redis is frozen. Kombu
# gives up a read that stays unanswered for a second and one or two health checks.
broker_transport_options = {
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 1,
}

# Jobs show in Flower under their own kinds (workers/events.py); the carriers that bring them do not.
worker_send_task_events = True
task_send_sent_event = False

# Each process of a pool is replaced after this many carriers, so that no leak grows for ever.
worker_max_tasks_per_child = 10_000

# Logs are ours (common/logs.py); Celery's own records go through the same stream.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

# A warm shutdown gives the running handlers back at their next checkpoint (workers/parent.py).
worker_cancel_long_running_tasks_on_connection_loss = False

timezone = "UTC"
enable_utc = True
