"""Makes an organization and its admin in one transaction, so that being killed anywhere leaves both or neither."""

from dataclasses import dataclass

from common.ids import OrgId
from common.organizations.provision import ProvisionOrganization, make
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class Provisioned:
    """The organization that now exists."""

    org_id: str
    slug: str


@handles(ProvisionOrganization)
def provision(ctx: Context, job: ProvisionOrganization) -> Provisioned:
    """Make the organization."""
    database = ctx.services.registry.choose_database(OrgId(job.org_id))
    ctx.write_control(lambda control, session: make(control, session, job, database, ctx.services.clock))
    return Provisioned(job.org_id, job.slug)
