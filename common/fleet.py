"""What operators may see and change of queues, workers, jobs and organizations, from wherever they ask."""

from collections.abc import Mapping
from typing import Any

from common.analytics.total_platform import TotalPlatform
from common.audit import Actor
from common.caller import Caller
from common.clock import rfc3339
from common.errors import NotFound
from common.ids import PLATFORM, JobId, OrgId, new_id
from common.jobs import many
from common.jobs.idempotency import Once
from common.jobs.kind import queues as known_queues
from common.jobs.lanes import Line
from common.jobs.many import Many
from common.jobs.record import JobRecord
from common.jobs.selection import Selection
from common.jobs.steering import Pause, What
from common.platform.tend_indexes import TendIndexes
from common.services import Services
from common.tenancy import tiers as tier_table
from common.tenancy.registry import Organization
from common.tenancy.tiers import Tier

Shown = Mapping[str, Any]


def queues(services: Services) -> list[Shown]:
    """Show every queue: what waits, runs and is due, its slots, who is in line, and whether it is paused."""
    running = services.jobs.count_running()
    paused = {one.name: rfc3339(one.since) for one in services.steering.pauses() if one.what == "queue"}
    rebuilding = services.steering.rebuilding()
    return [
        {
            "queue": name,
            "running": running.get(name, 0),
            **_load(services, name),
            "paused_since": paused.get(name),
            "rebuilding": rebuilding,
        }
        for name in known_queues()
    ]


def line(services: Services, queue: str, which: Line, *, offset: int, limit: int) -> list[Shown]:
    """List the organizations in line, the next to be served first. Raises `NotFound`."""
    if queue not in known_queues():
        raise NotFound("There is no such queue.")
    found = services.lanes.line(queue, which, offset, limit)
    return [
        {
            "org_id": one.org_id,
            "tier": services.steering.tier_of(one.org_id) or None,
            "waiting": one.waiting,
            "running": one.running,
        }
        for one in found
    ]


def workers(services: Services) -> list[Shown]:
    """Show every worker that is alive, and the jobs that it runs."""
    jobs: dict[str, list[Shown]] = {}
    for one in services.jobs.held_by_workers():
        jobs.setdefault(one["lease"]["worker"], []).append(_held(one))
    return [
        {"worker": name, "queue": queue, "slots": slots, "jobs": jobs.get(name, [])}
        for queue in known_queues()
        for name, slots in sorted(services.lanes.workers(queue))
    ]


def jobs(services: Services, selection: Selection, *, before: str | None, limit: int) -> list[JobRecord]:
    """List jobs of any organization, newest first."""
    return services.jobs.select(selection, before=before, limit=limit)


def job(services: Services, job_id: str) -> JobRecord:
    """Return a job of any organization. Raises `NotFound`."""
    return services.jobs.of_anyone(job_id)


def retry(services: Services, actor: Actor, job_id: str, *, once: Once | None = None) -> JobRecord:
    """Start a fresh run of anybody's job. Raises like `Submitter.retry`."""
    found = services.jobs.of_anyone(job_id)
    services.audit.note(actor, "job.retry", job_id)
    return services.submitter.retry(found.org_id, found.id, once=once)


def cancel(services: Services, actor: Actor, job_id: str) -> JobRecord:
    """Cancel anybody's job, or ask it to stop. Raises `NotFound` or `Conflict`."""
    found = services.jobs.of_anyone(job_id)
    services.audit.note(actor, "job.cancel", job_id)
    return services.submitter.cancel(found.org_id, found.id)


def count_many(services: Services, asked: Many) -> Shown:
    """Count the jobs that *asked* would change, 100,000 at most. Raises `Unavailable` if that takes too long."""
    return many.count(services.jobs, asked, PLATFORM, asked_at=services.clock.now())


def accept_many(services: Services, actor: Actor, asked: Many) -> Shown:
    """Accept the platform's job that retries or cancels many."""
    services.audit.note(actor, asked.name, asked.of_org or "all organizations")
    record = services.submit(_as_platform(actor), asked)
    return {"id": record.id, "kind": record.kind, "state": record.state}


def tend_indexes(services: Services, actor: Actor, mode: Any) -> JobRecord:
    """Accept the platform's job that compares all indexes with what is declared, or brings them up to date."""
    services.audit.note(actor, "indexes.tend", mode)
    return services.submit(_as_platform(actor), TendIndexes(mode=mode))


def total_platform(services: Services, actor: Actor, *, once: Once | None = None) -> JobRecord:
    """Accept the platform's job that measures all organizations."""
    services.audit.note(actor, "platform.total", "all organizations")
    return services.submit(_as_platform(actor), TotalPlatform(), once=once)


def pauses(services: Services) -> list[Shown]:
    """List what is paused: since when, and by whom."""
    return [_pause(one) for one in services.steering.pauses()]


def pause(services: Services, actor: Actor, what: What, name: str) -> Shown:
    """Begin no more of a queue's, a kind's or an organization's jobs. Raises `NotFound`."""
    services.steering.must_exist(what, name)
    services.audit.note(actor, f"{what}.pause", name)
    return _pause(services.steering.pause(what, name, by=actor.name))


def resume(services: Services, actor: Actor, what: What, name: str) -> Shown:
    """Let them go on. Raises `NotFound`, also if nothing of that name is paused."""
    known = next((one for one in services.steering.pauses() if (one.what, one.name) == (what, name)), None)
    if known is None:
        raise NotFound(f"No {what} of that name is paused.")
    services.audit.note(actor, f"{what}.resume", name)
    services.steering.resume(what, name)
    return _pause(known)


def organizations(services: Services, words: str, *, after: str, limit: int) -> list[Organization]:
    """List organizations whose name or slug contains *words*, by id."""
    return services.registry.search(words, after=after, limit=limit)


def organization(services: Services, one: Organization) -> Shown:
    """Show an organization with its tier and its load."""
    waiting, running = services.lanes.waiting(one.org_id, known_queues())
    return {
        "id": one.org_id,
        "name": one.name,
        "slug": one.slug,
        "tier": one.tier,
        "isolation": one.placement.mode,
        "state": one.state,
        "created_at": rfc3339(one.created_at),
        "waiting": waiting,
        "running": running,
    }


def set_tier(services: Services, actor: Actor, was: Organization, tier: Tier) -> Organization:
    """Give an organization another tier. Raises `Stale` if it is no longer as *was* says."""
    services.audit.note(actor, "organization.tier", f"{was.org_id} {was.tier} {tier}")
    changed = services.life.change(was, {"tier": tier}, by=actor.name)
    services.steering.tier_changed(was.org_id, tier)
    return changed


def tiers(services: Services) -> list[Shown]:
    """Show the table of tiers as it holds now."""
    return [{"tier": name, **tier_table.shown(one)} for name, one in services.tiers.all().items()]


def tier(services: Services, name: str) -> tuple[Shown, str]:
    """Show a tier as it holds now, with its version. Raises `NotFound`."""
    allowance, count = services.tiers.look(name)
    return {"tier": name, **tier_table.shown(allowance)}, f"{name}-{count}"


def change_tier(
    services: Services, actor: Actor, tier: str, changes: Mapping[str, int], *, was: str | None = None
) -> Shown:
    """Change figures of a tier, for all its organizations. Raises `NotFound`, or `Stale` if it *was* otherwise."""
    if tier not in tier_table.DEFAULTS:
        raise NotFound("There is no such tier.")
    count = int(was.rsplit("-", 1)[1]) if was is not None else None
    what = " ".join(f"{name}={value}" for name, value in sorted(changes.items()))
    services.audit.note(actor, "tier.change", f"{tier} {what}")
    return {"tier": tier, **tier_table.shown(services.steering.change_tier(tier, changes, was=count))}


def _as_platform(actor: Actor) -> Caller:
    return Caller(org_id=PLATFORM, user_id=actor.name, role="operator", request_id=actor.request_id or new_id())


def _load(services: Services, name: str) -> Shown:
    look = services.lanes.look(name)
    oldest = services.jobs.oldest_queued(name)
    age_s = (services.clock.now() - oldest).total_seconds() if oldest else None
    return {
        "waiting": look.waiting,
        "due": look.due,
        "slots": look.slots,
        "idle": look.idle,
        "ready": look.ready,
        "over": look.over,
        "borrowed": look.borrowed,
        "served": look.served,
        "retaken": look.retaken,
        "oldest_age_s": round(max(0.0, age_s), 3) if age_s is not None else None,
    }


def _held(one: Mapping[str, Any]) -> Shown:
    return {
        "job_id": JobId(one["_id"]),
        "org_id": OrgId(one["org_id"]),
        "kind": one["kind"],
        "started_at": rfc3339(one["started_at"]),
        "lease_until": rfc3339(one["lease"]["expires_at"]),
    }


def _pause(one: Pause) -> Shown:
    return {"what": one.what, "name": one.name, "since": rfc3339(one.since), "by": one.by}
