"""The quarantine: whatever reaches a queue of ours and is no carrier is put aside and counted, and stops nobody.

What passes is made anew from the carrier's id, so that nothing else of a message ever reaches Celery's code.
"""

from typing import Any

import redis as redis_client
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from common.jobs.carriers import carrier, carrier_id
from common.logs import get_logger
from common.metrics import QUARANTINED, SWALLOWED

LIST = "fairway:quarantine"
KEPT = 1_000
KEPT_BYTES = 4_096
log = get_logger()


class Channel(kombu_redis.Channel):  # type: ignore[misc] # kombu ships no types
    """Kombu's Redis channel, which takes only carriers from a queue of ours.

    It keeps no copy of a message until that is acknowledged: the record is what runs again. So taking one needs no
    memory in Redis, which a full one would refuse, with the worker's death as kombu's answer.
    """

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **options: Any) -> Any:  # noqa: FBT001 (kombu's)
        """Consume as if every message needed no acknowledgement."""
        del no_ack
        return super().basic_consume(queue, True, *args, **options)  # noqa: FBT003 (kombu's order)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 (kombu's)
        """Do nothing: there is no copy to remove."""

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 (kombu's)
        """Do nothing: a carrier that is refused is missed by nobody."""

    def _get_client(self) -> Any:
        """Return the class of client whose answers to BRPOP are sifted before kombu decodes them."""
        channel = self

        class SiftingClient(super()._get_client()):  # type: ignore[misc] # as above
            def parse_response(self, connection: Any, command: str, **options: Any) -> Any:
                answer = super().parse_response(connection, command, **options)
                return channel.sift(answer) if command == "BRPOP" and answer else answer

        return SiftingClient

    def sift(self, answer: tuple[bytes, bytes]) -> tuple[bytes, bytes] | None:
        """Return *answer* with its message made anew, or `None`, which kombu reads as an empty queue."""
        name, raw = answer
        queue = name.decode().removeprefix("fairway.")
        identity = carrier_id(raw)
        if identity is None:
            self._put_aside(queue, raw)
            return None
        return name, kombu_redis.dumps(carrier(queue, identity)).encode()

    def _put_aside(self, queue: str, raw: bytes) -> None:
        QUARANTINED.labels(queue).inc()
        log.warning("message.quarantined", queue=queue, size_bytes=len(raw))
        try:
            with self.conn_or_acquire() as client:
                client.lpush(LIST, raw[:KEPT_BYTES])
                client.ltrim(LIST, 0, KEPT - 1)
        except redis_client.RedisError:
            SWALLOWED.labels("quarantine").inc()  # the message was no job; only its copy for looking is lost


class Transport(kombu_redis.Transport):  # type: ignore[misc] # kombu ships no types
    """Kombu's Redis transport with our channel."""

    Channel = Channel


def install() -> None:
    """Make this process read `redis://` brokers through the quarantine."""
    TRANSPORT_ALIASES["redis"] = "workers.quarantine:Transport"
    TRANSPORT_ALIASES["rediss"] = "workers.quarantine:Transport"
