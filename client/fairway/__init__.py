"""The client of Fairway's HTTP API: submit work, wait for it, follow it.

with Fairway.signed_in(url, organization="acme", email=email, password=password) as fairway:
    job = fairway.submit("jobs.rehearse", {"steps": 3})
    print(fairway.wait(job.id).result)
"""

from fairway.client import Fairway
from fairway.errors import FairwayError, NotInTime, Problem, Unreachable
from fairway.events import Event
from fairway.models import Job, Kind, Progress, RefusedRow, SignedUp, Ticket

__all__ = [
    "Event",
    "Fairway",
    "FairwayError",
    "Job",
    "Kind",
    "NotInTime",
    "Problem",
    "Progress",
    "RefusedRow",
    "SignedUp",
    "Ticket",
    "Unreachable",
]
