"""Lets the jobs of a restored organization go on, also those that a slow worker holds a little later."""

from dataclasses import dataclass

from common.errors import Defer
from common.ids import OrgId
from common.jobs.holds import Holds
from common.organizations.restore import RestoreOrganization
from common.tenancy.remembered import ALONE_S
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Released:
    """How many jobs go on."""

    released: int


@handles(RestoreOrganization)
def restore(ctx: Context, job: RestoreOrganization) -> Released:
    """Release them; and once more when nobody can hold another one any longer.

    A worker may go by a deletion that it remembers, and hold a job under a lease that began before.
    """
    services, org_id = ctx.services, OrgId(job.of_org)
    state = ctx.resume() or {"released": 0, "is_last": False}
    holds = Holds(services.control, services.lanes, services.clock)
    released, after = int(state["released"]), ""
    while services.registry.state_of(org_id) == "active":
        count, after = holds.release_page(org_id, after)
        released += count
        ctx.progress(released, None, "releasing")
        if not after:
            break
    else:
        return Released(released)  # deleted again meanwhile
    if not state["is_last"]:
        ctx.checkpoint({"released": released, "is_last": True}, released, None, "looking once more")
        raise Defer(services.jobs.lease_s + ALONE_S, "late_holds")
    return Released(released)
