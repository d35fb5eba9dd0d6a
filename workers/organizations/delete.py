"""Holds the jobs of a deleted organization: those that wait at once, those that run as soon as they stop."""

from dataclasses import dataclass

from common.errors import Defer
from common.ids import OrgId
from common.jobs.holds import Holds
from common.organizations.delete import DeleteOrganization
from workers.context import Context
from workers.runner import handles

LOOK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Held:
    """How many jobs wait for the organization to be restored, as far as this job held them."""

    held: int


@handles(DeleteOrganization)
def delete(ctx: Context, job: DeleteOrganization) -> Held:
    """Hold them; look again until none runs. Whatever comes later is held when it is taken."""
    services, org_id = ctx.services, OrgId(job.of_org)
    state = ctx.resume() or {"held": 0, "looks": 0}
    holds = Holds(services.control, services.lanes, services.clock)
    held, after = int(state["held"]), ""
    while services.registry.state_of(org_id) == "deleted":
        count, after = holds.hold_page(org_id, after)
        held += count
        ctx.progress(held, None, "holding")
        if not after:
            break
    else:
        return Held(held)  # restored meanwhile, or on its way out
    running = holds.ask_running(org_id)
    ctx.checkpoint({"held": held, "looks": state["looks"] + 1}, held, None, "waiting for those that run")
    if running or not state["looks"]:  # one that was being taken may run by now
        raise Defer(LOOK_AGAIN_S, "jobs_stop")
    return Held(held)
