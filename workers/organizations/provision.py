"""Makes an organization and its admin in one transaction, so that being killed anywhere leaves both or neither."""

from dataclasses import dataclass

from common.ids import OrgId
from common.organizations.provision import ProvisionOrganization, make, placement_of
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Provisioned:
    """The organization that now exists."""

    org_id: str
    slug: str


@handles(ProvisionOrganization)
def provision(ctx: Context, job: ProvisionOrganization) -> Provisioned:
    """Make the organization; a dedicated one gets its collections first, which nobody sees before it is there."""
    services, org_id = ctx.services, OrgId(job.org_id)
    placement = placement_of(services.control, job) or services.registry.pooled(org_id)
    services.registry.prepare(org_id, placement)
    ctx.write_control(lambda control, session: make(control, session, job, placement, services.clock))
    return Provisioned(job.org_id, job.slug)
