"""Kinds of job: a kind is a frozen, typed value with a wire name; declaring the class registers it."""

import dataclasses
import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Any, ClassVar, dataclass_transform

import orjson
import pydantic

import common
from common.caller import Role
from common.errors import JobFailed

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
_QUEUE = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")
PAYLOAD_MAX_BYTES = 64 * 1024
KINDS: dict[str, type["Job"]] = {}


@dataclasses.dataclass(frozen=True)
class Terms:
    """How a kind is run: in which queue, for how long, how often.

    The soft limit is raised in the handler so that it can clean up; at the hard one its process is killed. Of a
    kind with *max_running* no more are run at a time, in the whole fleet; slots beyond it are not lent either. One
    that finishes what was done already, as emptying a deleted room, *can_be_cancelled* by nobody.
    """

    queue: str
    time_limit_s: float
    soft_time_limit_s: float
    max_attempts: int
    max_losses: int
    priority: int
    max_running: int | None
    can_be_cancelled: bool


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Job:
    """What is asked of a worker. Subclass it with `name="family.verb_object"` and typed fields."""

    name: ClassVar[str]
    terms: ClassVar[Terms]
    open_to: ClassVar[tuple[Role, ...]]

    def __init_subclass__(
        cls,
        *,
        name: str,
        queue: str,
        time_limit_s: float = 900,
        soft_time_limit_s: float | None = None,
        max_attempts: int = 5,
        max_losses: int = 3,
        priority: int = 5,
        max_running: int | None = None,
        can_be_cancelled: bool = True,
        open_to: tuple[Role, ...] = (),
    ) -> None:
        """Turn the class into a frozen dataclass and register it. Raises `TypeError` if it can't be a kind.

        Callers of the roles in *open_to* may submit it as it is, with any payload of its types.
        """
        if not _NAME.match(name):
            raise TypeError(f"A kind is named family.verb_object in lower case, not {name!r}.")
        if not _QUEUE.match(queue):
            raise TypeError(f"A queue is named in lower case, digits and hyphens, not {queue!r}.")
        if name in KINDS and KINDS[name].__qualname__ != cls.__qualname__:
            raise TypeError(f"Two classes want the kind {name}: {KINDS[name]} and {cls}.")
        cls.name = name
        cls.open_to = open_to
        cls.terms = Terms(
            queue=queue,
            time_limit_s=time_limit_s,
            soft_time_limit_s=soft_time_limit_s if soft_time_limit_s is not None else time_limit_s * 0.9,
            max_attempts=max_attempts,
            max_losses=max_losses,
            priority=priority,
            max_running=max_running,
            can_be_cancelled=can_be_cancelled,
        )
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        KINDS[name] = cls

    def room(self) -> str | None:
        """Name the room that this job is of, if any: only who may add files there may cancel or retry it."""
        return None

    def blobs(self) -> tuple[str, ...]:
        """Name the stored files that are this job's own: they go when its organization goes."""
        return ()


_adapters: dict[str, pydantic.TypeAdapter[Any]] = {}


def _adapter(kind: type[Job]) -> pydantic.TypeAdapter[Any]:
    found = _adapters.get(kind.name)
    if found is None:
        found = _adapters[kind.name] = _make_adapter(kind)
    return found


def _make_adapter(kind: type[Job]) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(pydantic.with_config(pydantic.ConfigDict(extra="forbid"))(kind))


def encode(job: Job) -> dict[str, Any]:
    """Return the payload of *job* as plain JSON values, checked against its own types.

    Raises `ValueError` if a field is not of its type or the payload is over 64 KiB.
    """
    adapter = _adapter(type(job))
    payload: dict[str, Any] = adapter.dump_python(job, mode="json", warnings="error")
    size_bytes = len(adapter.dump_json(job))
    if size_bytes > PAYLOAD_MAX_BYTES:
        raise ValueError(f"A payload of {size_bytes} bytes is over the {PAYLOAD_MAX_BYTES} that a job may carry.")
    adapter.validate_python(payload)
    return payload


def decode(kind: type[Job], payload: Mapping[str, Any]) -> Job:
    """Read *payload* back. Raises `JobFailed` with code `payload-unreadable` and every field that is wrong."""
    try:
        job: Job = _adapter(kind).validate_python(dict(payload))
    except pydantic.ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'payload'}: {e['msg']}" for e in error.errors()[:10])
        raise JobFailed(
            f"The payload of {kind.name} can't be read: {faults}.", code="payload-unreadable"
        ) from error
    return job


def read_strictly(kind: type[Job], payload: Mapping[str, Any]) -> Job:
    """Read what a caller sent as a payload: nothing is converted, "1" is no number.

    Raises `pydantic.ValidationError`, which names each field that is wrong.
    """
    job: Job = _adapter(kind).validate_json(orjson.dumps(payload), strict=True)
    return job


def schema_of(kind: type[Job]) -> dict[str, Any]:
    """Return the JSON Schema of the kind's payload (2020-12, as OpenAPI 3.1 takes it)."""
    schema = _adapter(kind).json_schema()
    schema.pop("description", None)
    return schema


def discover() -> Mapping[str, type[Job]]:
    """Import every family's modules, so that every kind is registered; return the kinds by name."""
    _import_families(tuple(common.__path__))
    return KINDS


@functools.lru_cache(maxsize=8)
def _import_families(_path: tuple[str, ...]) -> None:
    for family in pkgutil.iter_modules(common.__path__, "common."):
        if family.ispkg:
            package = importlib.import_module(family.name)
            for module in pkgutil.iter_modules(package.__path__, f"{family.name}."):
                importlib.import_module(module.name)


def queue_of(kind: str) -> str | None:
    """Return the queue of the kind named *kind*, or `None` if this version does not know it."""
    known = KINDS.get(kind)
    return known.terms.queue if known else None


def queues() -> tuple[str, ...]:
    """Return the names of all queues that a kind asks for, sorted."""
    return _queues(len(discover()))


@functools.lru_cache(maxsize=8)
def _queues(_kinds_known: int) -> tuple[str, ...]:
    return tuple(sorted({kind.terms.queue for kind in KINDS.values()}))
