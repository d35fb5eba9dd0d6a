"""What became of a ticket, change by change: each entry says what was, what is, when, and by whom or which job."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from common.clock import rfc3339
from common.ids import JobId, new_id
from common.tickets.attributes import unescape

Action = Literal["updated", "edited", "deleted", "restored", "returned"]
ACTIONS: tuple[Action, ...] = ("updated", "edited", "deleted", "restored", "returned")
"""By a source or a file; by hand; gone and back by hand or by its source; back in its source after a deletion."""

Changes = Mapping[str, tuple[Any, Any]]
"""Field → what it was and what it is; an attribute is the field `attributes.` and its name."""

_ATTRIBUTE = "attributes."
_TRACKED = (
    "external_id", "customer_id", "channel", "subject", "message", "status", "tags",
    "urgency", "sentiment", "requires_action", "overridden", "created_at",
)  # fmt: skip


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what setting the stored fields *after* changes in the stored ticket *before*.

    Fields that *after* does not have stay, so they don't differ; its attributes are all that there will be.
    An attribute that is not there counts as null.
    """
    found = {
        name: (before.get(name), after[name])
        for name in _TRACKED
        if name in after and _differ(before.get(name), after[name])
    }
    if "attributes" in after:
        found |= _attribute_differences(before.get("attributes") or {}, after["attributes"])
    return found


def _attribute_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        _ATTRIBUTE + unescape(name): (before.get(name), after.get(name))
        for name in {**before, **after}
        if _differ(before.get(name), after.get(name))
    }


def _differ(old: Any, new: Any) -> bool:
    # Python takes true for 1 and 1 for 1.0, which are not the same to who reads them.
    return old != new or any(isinstance(old, kind) != isinstance(new, kind) for kind in (bool, float))


def entry(
    ticket_id: str,
    action: Action,
    changes: Changes,
    *,
    at: datetime,
    job_id: JobId | None = None,
    actor: str | None = None,
) -> dict[str, Any]:
    """Return the document of one change; *actor* is who did it by hand, *job_id* the job that did it.

    Changes are kept as a list, because names of attributes may hold what names of fields may not.
    """
    return {
        "_id": new_id(),
        "ticket_id": ticket_id,
        "action": action,
        "changes": [{"field": field, "old": old, "new": new} for field, (old, new) in changes.items()],
        "recorded_at": at,
        "job_id": job_id,
        "actor_id": actor,
    }


def public(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return *stored* as the API shows a change."""
    return {
        "action": stored["action"],
        "changes": {
            change["field"]: {"old": _shown(change["old"]), "new": _shown(change["new"])}
            for change in stored["changes"]
        },
        "recorded_at": rfc3339(stored["recorded_at"]),
        "job_id": stored["job_id"],
        "actor_id": stored["actor_id"],
    }


def _shown(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
