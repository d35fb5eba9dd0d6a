"""What operators may see and change of the coordination, the same over the API and from the command line."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.audit import Actor
from common.clock import rfc3339
from common.coordination.circuit_breaker import BreakerState, Target
from common.coordination.limit_states import LimitState
from common.coordination.lock import Held
from common.coordination.names import escaped, plain, shown
from common.errors import NotFound
from common.services import Services

Shown = Mapping[str, Any]


def locks(services: Services, *, after: str, limit: int) -> list[Shown]:
    """List the locks that are held: by whom, since when and until when."""
    return [_lock(one) for one in services.locks.all_held(after, limit)]


def reset_lock(services: Services, actor: Actor, key: str) -> Shown:
    """Free the lock of that escaped name, whoever holds it; it is refused from then on. Raises `NotFound`."""
    name = plain(key)
    if escaped(name) != key:
        raise NotFound("There is no such lock.")
    if services.locks.status(name) is None:
        raise NotFound("Nobody holds such a lock.")
    services.audit.note(actor, "lock.reset", shown(name))
    freed = services.locks.reset(name)
    if freed is None:
        raise NotFound("Nobody holds such a lock any more.")
    return _lock(freed)


def rate_limits(services: Services, *, after: str, limit: int, only_saturated: bool = False) -> list[Shown]:
    """List how every limit stands that somebody uses, and every penalty."""
    states = services.limit_states.all_of(after, limit, only_saturated=only_saturated)
    return [_limit(one) for one in states]


def reset_rate_limit(services: Services, actor: Actor, key: str) -> Shown:
    """Forget what was used of a limit, or lift a penalty. Raises `NotFound`."""
    state = services.limit_states.state_of(key)
    if state is None:
        raise NotFound("There is no such limit that anybody uses.")
    services.audit.note(actor, "rate_limit.reset", key)
    services.limit_states.reset(key)
    return _limit(state)


def circuit_breakers(services: Services, *, after: str, limit: int) -> list[Shown]:
    """List the breakers that have a past, each host's own among them."""
    return [_breaker(one) for one in services.breaker.states(after, limit)]


def reset_circuit_breaker(services: Services, actor: Actor, key: str) -> Shown:
    """Close a breaker and forget its last calls. Raises `NotFound`."""
    found = services.breaker.state_of(key)
    if found is None:
        raise NotFound("There is no such breaker with a past.")
    services.audit.note(actor, "circuit_breaker.reset", key)
    target = Target(found.host, credential=found.credential or "", tenant=found.tenant or "")
    services.breaker.reset(target, host=found.tenant is None)
    return _breaker(found)


def audit_log(services: Services, *, before: str | None, limit: int) -> list[Shown]:
    """List what operators changed, newest first."""
    return [
        {
            "id": entry["_id"],
            "at": rfc3339(entry["at"]),
            "actor": entry["actor"],
            "via": entry["via"],
            "request_id": entry["request_id"],
            "action": entry["action"],
            "subject": entry["subject"],
        }
        for entry in services.audit.page(limit=limit, before=before)
    ]


def _lock(held: Held) -> Shown:
    return {
        "key": escaped(held.name),
        "name": shown(held.name),
        "holder": held.holder,
        # A text: a JavaScript client would round so large a number.
        "fence": str(held.fence),
        "since": rfc3339(held.since),
        "until": rfc3339(held.until),
    }


def _limit(state: LimitState) -> Shown:
    return {
        "key": state.key,
        "purpose": state.purpose,
        "name": shown(state.name),
        "permits": state.permits,
        "per_s": state.per_s,
        "remaining": state.remaining,
        "waiting": state.waiting,
        "credential": _shown(state.credential),
        "held_since": _instant(state.held_since),
        "held_until": _instant(state.held_until),
    }


def _breaker(state: BreakerState) -> Shown:
    return {
        "key": state.key,
        "host": shown(state.host),
        "tenant": _shown(state.tenant),
        "credential": _shown(state.credential),
        "state": state.mode,
        "since": rfc3339(state.since),
        "until": _instant(state.until),
        "last_calls": state.last_calls,
    }


def _shown(name: str | None) -> str | None:
    return shown(name) if name is not None else None


def _instant(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None
