"""Walks over all organizations, batch by batch, and adds up what it kept; goes on where it was cut off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.client_session import ClientSession

from common.analytics.total_platform import TotalPlatform
from common.tenancy.control import ControlPlane
from workers.context import Context
from workers.runner import handles


@dataclass(frozen=True)
class TotalledPlatform:
    """How many organizations were measured, in how many batches, and where the totals are."""

    organizations: int
    batches: int
    links: Mapping[str, str]


@handles(TotalPlatform)
def total_platform(ctx: Context, job: TotalPlatform) -> TotalledPlatform:
    """Measure each batch and keep its rows; at the end keep the totals. The job's id is theirs."""
    del job
    made, state = ctx.services.platform_totals, dict(ctx.resume() or {"place": "", "done": 0, "batches": 0})
    total = ctx.services.control.organizations.count_documents({"state": {"$ne": "purged"}})
    for batch in ctx.services.census.batches(state["place"]):
        rows = made.measure(ctx.job_id, batch)

        def keep(_control: ControlPlane, session: ClientSession, rows: Any = rows) -> None:
            made.keep(rows, session=session)

        ctx.write_control(keep)
        state = {"place": batch.place, "done": state["done"] + len(rows), "batches": state["batches"] + 1}
        ctx.checkpoint(state, state["done"], max(total, state["done"]), "measuring")
    totals = made.add_up(ctx.job_id, ctx.asked_at)
    ctx.write_control(
        lambda control, session: control.platform_totals.replace_one(
            {"_id": ctx.job_id}, totals, upsert=True, session=session
        )
    )
    here = f"/v1/operations/analytics/platform/{ctx.job_id}"
    links = {"totals": here, "tenants": f"{here}/tenants"}
    return TotalledPlatform(state["done"], state["batches"], links)
