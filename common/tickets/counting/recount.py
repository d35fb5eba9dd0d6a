"""Counting anew from the tickets themselves: what rollups and deltas together have to come to."""

from common.tenancy.scope import OrgScope
from common.tickets.collections import LIVE, TICKETS
from common.tickets.counting.cells import start_of_day
from common.tickets.counting.delta import Counted
from common.tickets.counting.facts import FIELDS


def recount(scope: OrgScope, first_day: int, days: int) -> Counted:
    """Return what the tickets that were created in so many days (UTC) count as."""
    counted = Counted()
    created = {"$gte": start_of_day(first_day), "$lt": start_of_day(first_day + days)}
    for ticket in scope[TICKETS].find({"created_at": created, **LIVE}, projection=FIELDS, hint="live_newest"):
        counted.take(ticket)
    return counted
